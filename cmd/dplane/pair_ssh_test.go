package main

import (
	"bufio"
	bin "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/dplaneos/dplane/drivers/ha/gate"
	"github.com/dplaneos/dplane/drivers/ha/history"
	"github.com/dplaneos/dplane/drivers/replication/receive"
	"github.com/dplaneos/dplane/drivers/zfs/zfsfake"
	"github.com/dplaneos/dplane/spec"
)

// In place of ssh and its server: a program that takes ssh's arguments, and the other end, which does for a request what the
// forced command does: it judges it, asks the gate, runs it on the model, and asks the gate again. (The forced command itself
// would refuse the model's streams, which are not those of zfs.)

const sshPort = "22"

// pairSSH is the program: the last two words are the host and the line.
func pairSSH() {
	host, line := os.Args[len(os.Args)-2], os.Args[len(os.Args)-1]
	d := net.Dialer{Timeout: 10 * time.Second, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 2}}
	c, err := d.Dial("tcp", net.JoinHostPort(host, sshPort))
	if err != nil {
		fmt.Fprintf(os.Stderr, "ssh: connect to host %s port %s: Connection timed out\n", host, sshPort)
		os.Exit(255)
	}
	fmt.Fprintf(c, "%d\n%s", len(line), line)
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	code, err := listen(bufio.NewReader(c))
	if err != nil {
		fmt.Fprintf(os.Stderr, "Timeout, server %s not responding.\n", host)
		code = 255
	}
	os.Exit(code)
}

// listen copies what the other end prints, until it tells how it ended.
func listen(in *bufio.Reader) (int, error) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return 0, err
		}
		n := int64(bin.BigEndian.Uint32(head[1:]))
		var err error
		switch head[0] {
		case 'o':
			_, err = io.CopyN(os.Stdout, in, n)
		case 'e':
			_, err = io.CopyN(os.Stderr, in, n)
		default:
			return int(n), nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// framed is one of the streams of a process, on the connection.
type framed struct {
	to   net.Conn
	kind byte
}

func (f framed) Write(b []byte) (int, error) {
	head := bin.BigEndian.AppendUint32([]byte{f.kind}, uint32(len(b)))
	if _, err := f.to.Write(append(head, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// sshd answers the peer's requests at a node.
func (n *pairNode) sshd() error {
	var l net.Listener
	if err := n.space.in(func() (err error) { l, err = net.Listen("tcp", n.ip+":"+sshPort); return err }); err != nil {
		return err
	}
	n.p.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.attend(c)
		}
	}()
	return nil
}

func (n *pairNode) attend(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	var size int
	if _, err := fmt.Fscanf(in, "%d\n", &size); err != nil || size > 1<<20 {
		return
	}
	line := make([]byte, size)
	if _, err := io.ReadFull(in, line); err != nil {
		return
	}
	code, why := n.request(string(line), in, c)
	if why != nil {
		fmt.Fprintln(framed{c, 'e'}, "dplane: receive:", why)
	}
	_, _ = c.Write(bin.BigEndian.AppendUint32([]byte{'x'}, uint32(code)))
}

// request is what `dplane receive --target tank/home --prune --peer PEER` does.
func (n *pairNode) request(line string, in io.Reader, c net.Conn) (code int, refused error) {
	peer := n.peer()
	rules := receive.Rules{Targets: []receive.Target{{Dataset: spec.DatasetName(pairHome), Prune: true, Peer: peer.name}}}
	q, err := rules.Judge(line)
	if err != nil {
		return exitRefused, err
	}
	run := n.program(q.Argv[0], q.Argv[1:]...)
	run.Stdin, run.Stdout, run.Stderr = in, framed{c, 'o'}, framed{c, 'e'}
	leave := func() error { return nil }
	if q.Peer != "" {
		pass, err := gate.Enter(gate.Dir(n.path("run")), q.Peer, q.Term)
		if err != nil {
			return exitRefused, err
		}
		leave = pass.Leave
		run.Env = append(run.Env, fmt.Sprintf("%s=%s %d", zfsfake.NoteVariable, q.Peer, q.Term))
	}
	err = n.launch(run)
	if err == nil {
		err = run.Wait()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	if left := leave(); left != nil || err != nil {
		return exitRefused, errors.Join(left, err)
	}
	if code == 0 && q.Receive != "" && !strings.Contains(line, " -A ") {
		n.p.fact(history.Fact{Node: n.name, Event: history.RecvEnd, Term: q.Term, Peer: q.Peer})
	}
	return code, nil
}
