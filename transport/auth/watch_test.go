package auth_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/auth"
)

// A watch ends when its token is not accepted any more, no sooner and no later.
func TestWatchEndsWithTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := auth.Options{Secret: secret, Leeway: 10 * time.Second}
		v := auth.New(o)
		defer v.Close()
		token, err := auth.Sign(o, alice, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		in, err := v.Token(remote, token)
		if err != nil {
			t.Fatal(err)
		}
		var ended atomic.Int32
		v.Watch(in, func() { ended.Add(1) })
		stop := v.Watch(in, func() { t.Error("called after stop") })
		time.Sleep(time.Minute + 9*time.Second)
		synctest.Wait()
		stop()
		stop()
		if _, err := v.Token(remote, token); err != nil || ended.Load() != 0 {
			t.Errorf("before its end: %v, ended %d times", err, ended.Load())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if _, err := v.Token(remote, token); err == nil || ended.Load() != 1 {
			t.Errorf("at its end: %v, ended %d times", err, ended.Load())
		}
	})
}

func TestWatchOfWhatDoesNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, v := range []*auth.Verifier{auth.New(auth.Options{}), auth.New(auth.Options{Secret: secret})} {
			defer v.Watch(chat.SignIn{User: alice}, func() { t.Error("ended") })()
		}
		time.Sleep(1000 * time.Hour)
	})
	if in, err := auth.New(auth.Options{}).Token(remote, "anything"); err != nil || in.ID != "" {
		t.Errorf("development mode: %v, %v", in, err)
	}
}
