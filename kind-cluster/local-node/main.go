// Package main bundles the Kubernetes components of one node, each started under its own name:
//
//	local-node kube-apiserver|kube-controller-manager|kube-scheduler|kube-proxy|kubelet|coredns|provisioner [flags]
//
// One binary, because the components share nearly all of their code: one build, one file to keep.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components are Kubernetes' own commands, unchanged.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          func() *cobra.Command { return apiserver.NewAPIServerCommand() },
	"kube-controller-manager": func() *cobra.Command { return controllermanager.NewControllerManagerCommand() },
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              func() *cobra.Command { return proxy.NewProxyCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

// companions are what else a node needs, and what is ours.
var companions = map[string]func() error{
	"coredns":     runCoreDNS,
	"provisioner": runProvisioner,
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	name := os.Args[1]
	// Every command reads its flags as if it had been started under its own name.
	os.Args = os.Args[1:]
	if run, ok := companions[name]; ok {
		exitOn(name, run())
		return
	}
	command, ok := components[name]
	if !ok {
		usage()
	}
	if dir := os.Getenv("ETCD_DIR"); name == "kube-apiserver" && dir != "" {
		exitOn("etcd", startEtcd(dir, os.Getenv("ETCD_LISTEN")))
	}
	cmd := command()
	cmd.SetArgs(os.Args[1:])
	os.Exit(cli.Run(cmd))
}

func usage() {
	names := make([]string, 0, len(components)+len(companions))
	for name := range components {
		names = append(names, name)
	}
	for name := range companions {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(os.Stderr, "usage: local-node %s [flags]\n", strings.Join(names, "|"))
	os.Exit(2)
}

func exitOn(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}
