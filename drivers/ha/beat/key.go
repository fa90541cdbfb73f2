package beat

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// KeyFile is the file of a node's key, beside its database.
func KeyFile(database string) string { return filepath.Join(filepath.Dir(database), "ha.key") }

// Pin is the SHA-256 of a public key (its SubjectPublicKeyInfo): all that counts of a certificate.
type Pin [sha256.Size]byte

// String is the identity as ha.peers.NAME.identity has it.
func (p Pin) String() string { return "sha256/" + base64.StdEncoding.EncodeToString(p[:]) }

// Key is a node's own. Its private half never leaves it but into the file.
type Key struct {
	pin  Pin
	cert tls.Certificate
}

// Pin is the hash of the public half.
func (k *Key) Pin() Pin { return k.pin }

// String keeps the private half out of logs.
func (k *Key) String() string { return k.pin.String() }

// GoString does so for %#v.
func (k *Key) GoString() string { return k.String() }

// ErrNoKey: none was made here.
var ErrNoKey = errors.New("this node has no key yet")

const pemType = "PRIVATE KEY"

// LoadKey reads the key. A file that others can read is refused: who has the key is this node.
func LoadKey(path string) (*Key, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not there", ErrNoKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the node's key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the node's key: %w", err)
	}
	if err := private(info); err != nil {
		return nil, fmt.Errorf("read the node's key %s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("read the node's key: %w", err)
	}
	k, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("read the node's key %s: %w", path, err)
	}
	return k, nil
}

// private tells why the file is no good place for a secret.
func private(info fs.FileInfo) error {
	switch sys, ok := info.Sys().(*syscall.Stat_t); {
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others can read it (mode %04o): chmod 600, and think of a new one", info.Mode().Perm())
	case ok && int(sys.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to the user with the id %d", sys.Uid)
	}
	return nil
}

// parseKey says nothing of what it read.
func parseKey(text []byte) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, errors.New("it holds no private key")
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	secret, ok := any.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("it holds no private key of the type ed25519")
	}
	return newKey(secret)
}

// newKey makes the certificate that TLS wants around the key. Nobody reads its names and times.
func newKey(secret ed25519.PrivateKey) (*Key, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dplane"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		return nil, fmt.Errorf("make a certificate of the node's key: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a certificate of the node's key: %w", err)
	}
	return &Key{pinOf(leaf), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: secret, Leaf: leaf}}, nil
}

func pinOf(cert *x509.Certificate) Pin { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

// EnsureKey gives the node's key, which is made where there is none. One that is there is never overwritten.
func EnsureKey(path string) (k *Key, made bool, err error) {
	if k, err = LoadKey(path); !errors.Is(err, ErrNoKey) {
		return k, false, err
	}
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, false, fmt.Errorf("make the node's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return nil, false, fmt.Errorf("make the node's key: %w", err)
	}
	err = writeNew(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("make the node's key %s: %w", path, err)
	}
	made = err == nil
	k, err = LoadKey(path) // also where another process was quicker: its key is the node's
	return k, made, err
}

// writeNew writes a file whole or not at all, durably, and never over another: link(2) fails where the name is taken.
func writeNew(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".ha.key-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
