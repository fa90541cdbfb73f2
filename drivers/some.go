package drivers

import (
	"fmt"
	"strings"
)

// Some are the first of many names, for people.
func Some(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
