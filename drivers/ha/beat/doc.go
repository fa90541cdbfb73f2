// Package beat is how the nodes of a group watch each other: the node's own key, the listener on the own address, the
// beats to each peer, and what is known of them.
//
// Chosen: TLS 1.3 with self-made certificates, of which the public key alone counts, pinned by its hash in the files on both
// sides. Refused: a CA (one more secret, one more thing that expires), and TLS without client certificates.
//
// It must never decide what a node does, believe who can't prove to be the peer, wait for ZFS, or show the private key.
package beat
