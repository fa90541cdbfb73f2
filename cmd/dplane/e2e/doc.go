// Package e2e holds what is proved on a real OpenZFS: the dplane binary, real zfs and zpool, file vdevs. Its
// tests have the build tag e2e and run as root, in the guest of zfsvm/ or, by the operator's explicit wish
// (DPLANE_HOST_ZFS=yes), on a machine that has the module; the script suite builds and starts them.
//
// It must never write to a pool it has not made, to a device, or outside its temporary directory.
package e2e
