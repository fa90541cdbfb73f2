package dataset

import (
	"github.com/dplaneos/dplane/spec"
)

// riskOf is the risk of changing one property on a dataset for those who use it (PRODUCT.md section 4); whom
// else it reaches is not counted here. from and to are canonical; to is "" where it is not known.
func riskOf(name, from, to string) spec.Risk {
	switch name {
	case "mountpoint", "canmount", "readonly", "sharenfs", "sharesmb": // remounts or takes shares away
		return spec.Disruptive
	case "zoned", "volmode", "snapdev", "acltype": // who sees the data, or the device nodes, changes
		return spec.Disruptive
	case "exec", "setuid", "devices", "xattr": // programs that ran yesterday do not today
		if to != "on" {
			return spec.Disruptive
		}
	case "sync": // what was said to be on disk may be lost
		if to == "disabled" || to == "" {
			return spec.Disruptive
		}
	}
	if isLimit(name) && lower(from, to) {
		return spec.Disruptive
	}
	return spec.Safe
}

// newBlocks are properties that people expect to change what is already written.
var newBlocks = map[string]string{
	"compression":          "compression",
	"recordsize":           "recordsize",
	"copies":               "number of copies",
	"checksum":             "checksum",
	"dedup":                "deduplication",
	"special_small_blocks": "place of small blocks",
	"redundant_metadata":   "redundancy of metadata",
	"dnodesize":            "dnode size",
}

// noteOf says what a change will not do where people expect otherwise, "" where there is nothing to say.
func noteOf(name string) string {
	if what, ok := newBlocks[name]; ok {
		return "the new " + what + " is for new blocks only: what is already written keeps the old one"
	}
	switch name {
	case "xattr", "acltype":
		return "what is already stored keeps its form"
	case "overlay", "nbmand", "context", "fscontext", "defcontext", "rootcontext":
		return name + " takes effect when the file system is mounted next"
	case "logbias", "sync":
		return "holds for the writes that come"
	}
	return ""
}
