package beat

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/dplaneos/dplane/drivers/ha"
	"github.com/dplaneos/dplane/state"
)

// Line is the way to peers.
type Line interface {
	// Beat sends one and gives the answer.
	Beat(ctx context.Context, key *Key, to Peer, b state.Beat) (state.Beat, error)
	// Health asks a peer that no beats are exchanged with; ails is what it says is wrong with it.
	Health(ctx context.Context, to Peer) (ails string, err error)
	// Order and Missing are what peers ask each other beside that.
	Order(ctx context.Context, key *Key, to Peer, c ha.Command) error
	Missing(ctx context.Context, key *Key, to Peer, guids map[string]string) ([]string, error)
}

// Net is the network. Each beat has a connection of its own: one that died unseen would cost the next beat.
type Net struct{}

// Beat is one exchange.
func (Net) Beat(ctx context.Context, key *Key, to Peer, b state.Beat) (state.Beat, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return state.Beat{}, fmt.Errorf("write a beat: %w", err)
	}
	var got answer
	err = call(ctx, key, to, http.MethodPost, "/beat", text, func(code int, body io.Reader) error {
		switch code {
		case http.StatusOK, http.StatusConflict:
			return read(body, &got)
		case http.StatusForbidden:
			return fmt.Errorf("it does not know this node's key: on %s, the identity of this node in the files has to be %s", to.Name, key.Pin())
		}
		return fmt.Errorf("it answers with the status %d", code)
	})
	if err != nil {
		return state.Beat{}, err
	}
	if why := check(&got.Beat, to.Name); why != "" {
		return state.Beat{}, fmt.Errorf("its answer is refused: %s", why)
	}
	return got.Beat, nil
}

// Health asks /health.
func (Net) Health(ctx context.Context, to Peer) (ails string, err error) {
	err = call(ctx, nil, to, http.MethodGet, "/health", nil, func(code int, _ io.Reader) error {
		switch code {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable:
			ails = "its loop is late"
			return nil
		}
		return fmt.Errorf("it answers with the status %d", code)
	})
	return ails, err
}

func call(ctx context.Context, key *Key, to Peer, method, path string, body []byte, take func(code int, body io.Reader) error) error {
	scheme := "http"
	if to.TLS {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+"://"+to.Host+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("reach %s: %w", to.Host, err)
	}
	transport := &http.Transport{
		DialContext: (&net.Dialer{}).DialContext, TLSClientConfig: clientTLS(key, to), DisableKeepAlives: true, DisableCompression: true,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, MaxResponseHeaderBytes: 16 << 10,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("reach %s: %w", to.Host, plain(err))
	}
	defer res.Body.Close()
	return take(res.StatusCode, res.Body)
}

// plain takes off what net/http puts around an error: the address is said already.
func plain(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	case errors.As(err, &op):
		return op.Err
	}
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// clientTLS believes the pinned key and nothing else. The names and times of certificates, and who signed them, say nothing
// here, which is why Go's own check is off (crypto/tls: InsecureSkipVerify together with VerifyConnection).
func clientTLS(key *Key, to Peer) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Time: anyTime}
	if key != nil {
		c.Certificates = []tls.Certificate{key.cert}
	}
	if to.Pinned {
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if shown := pinOf(s.PeerCertificates[0]); shown != to.Pin {
				return fmt.Errorf("it shows the key %s, and ha.peers.%s.identity is %s", shown, to.Name, to.Pin)
			}
			return nil
		}
	}
	return c
}

// anyTime: a wrong clock is said by the beats, and must not end them.
func anyTime() time.Time { return time.Unix(1<<31, 0) }
