// Package zfs is the command language of OpenZFS: it builds the argument vectors of zfs and zpool, parses
// what they print, and names what they refuse. Every command and every format here is one that the releases
// 2.1 to 2.4 share: the text forms (-Hp, zpool status -P), not JSON, which 2.1 and 2.2 do not have.
//
// Cost: whatever the number of datasets, a pool is observed by a constant number of processes: GetPool,
// PoolStatus and GetDatasets (or GetUnopened and GetWhole), and GetQuotas where quotas of users are declared; Version and ListPools run
// once for all pools.
//
// It must never decide anything: whether a dataset should exist, what a value should be and what a refusal
// means for a plan is for the driver of each kind. It must never build a command with -f, -r, -R or -F that
// writes.
package zfs
