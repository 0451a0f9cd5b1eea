package main

import (
	"errors"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd runs the store inside the API server's process, so that both start and stop together.
//
// It does not wait for the disk at every write: the state of a development cluster need not survive a power
// cut, and every status update would pay for it.
func startEtcd(dir, listen string) error {
	client, err := url.Parse(listen)
	if err != nil {
		return err
	}
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.UnsafeNoFsync = dir, "error", true
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	// A long demo must not fill the disk with the history of every status update.
	c.AutoCompactionMode, c.AutoCompactionRetention = "periodic", "10m"
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("not ready within 20 s")
	}
}
