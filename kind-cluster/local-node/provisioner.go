package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// provisionerName stands in the StorageClass and on every volume made here, so that no other volume is touched.
const provisionerName = "operator.dev/host-path"

// provisioner gives every claim of its StorageClass a folder on this machine and removes the folder with the
// claim: what a cluster of kind has built in. Claims are few here, so it looks once a second and watches nothing.
type provisioner struct {
	client kubernetes.Interface
	class  string
	root   string
}

func runProvisioner() error {
	flags := flag.NewFlagSet("provisioner", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "file that says how to reach the API server")
	class := flags.String("storage-class", "standard", "whose claims to serve")
	root := flags.String("root", "", "folder under which each volume gets its own")
	_ = flags.Parse(os.Args[1:])
	if *root == "" || !filepath.IsAbs(*root) {
		return errors.New("--root must be an absolute path")
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	p := provisioner{client: client, class: *class, root: filepath.Clean(*root)}
	last := ""
	for {
		// The same failure is said once, not every second.
		if err := p.round(ctx); err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			fmt.Fprintln(os.Stderr, "provisioner:", last)
		} else if err == nil {
			last = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// round makes what is missing and removes what is released. One bad volume does not stop the others.
func (p provisioner) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	claims, err := p.client.CoreV1().PersistentVolumeClaims("").List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for i := range claims.Items {
		claim := &claims.Items[i]
		if claim.Status.Phase == core.ClaimPending && claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName == p.class && claim.Spec.VolumeName == "" {
			errs = append(errs, p.create(ctx, claim))
		}
	}
	volumes, err := p.client.CoreV1().PersistentVolumes().List(ctx, meta.ListOptions{})
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for i := range volumes.Items {
		volume := &volumes.Items[i]
		released := volume.Status.Phase == core.VolumeReleased && volume.Spec.PersistentVolumeReclaimPolicy == core.PersistentVolumeReclaimDelete
		if released && volume.Annotations["pv.kubernetes.io/provisioned-by"] == provisionerName {
			errs = append(errs, p.remove(ctx, volume))
		}
	}
	return errors.Join(errs...)
}

func (p provisioner) create(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	name := "pvc-" + string(claim.UID)
	dir := filepath.Join(p.root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Pods write as their own users, and nothing changes the owner of a hostPath. The root above is closed.
	if err := os.Chmod(dir, 0o777); err != nil {
		return err
	}
	folder := core.HostPathDirectory
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisionerName}},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			StorageClassName:              p.class,
			PersistentVolumeSource:        core.PersistentVolumeSource{HostPath: &core.HostPathVolumeSource{Path: dir, Type: &folder}},
			ClaimRef:                      &core.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		},
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // made in an earlier round, not bound yet
	}
	return err
}

func (p provisioner) remove(ctx context.Context, volume *core.PersistentVolume) error {
	// The path is our own name under our own root, never what the object says.
	if err := os.RemoveAll(filepath.Join(p.root, filepath.Base(volume.Name))); err != nil {
		return err
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
