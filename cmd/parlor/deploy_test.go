package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestUnits has systemd read the example units, where it is installed, and looks for their
// flags among ours.
func TestUnits(t *testing.T) {
	const folder = "../../docs/deploy/systemd"
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"parlor.service", "parlor.socket"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range regexp.MustCompile(` --([a-z-]+)`).FindAllSubmatch(regexp.MustCompile(`(?m)^ExecStart=.*`).Find(text), -1) {
			if _, ok := samples[string(flag[1])]; !ok && string(flag[1]) != "config" {
				t.Errorf("%s: parlor has no flag --%s", name, flag[1])
			}
		}
		path := filepath.Join(dir, name)
		paths = append(paths, path)
		text = bytes.ReplaceAll(text, []byte("/usr/bin/parlor"), []byte("/bin/true")) // it must exist
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, paths...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// readYAML reads the documents of a file below docs/deploy.
func readYAML(t *testing.T, name string) (all []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document map[string]any
		err := documents.Decode(&document)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, document)
	}
}

// at follows keys and indexes into a document.
func at(document any, path ...any) any {
	for _, step := range path {
		switch d := document.(type) {
		case map[string]any:
			key, _ := step.(string)
			document = d[key]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(d) {
				return nil
			}
			document = d[i]
		default:
			return nil
		}
	}
	return document
}

// TestCompose reads the Compose files: there is no engine here that would start them. Their
// proxies are started by TestExampleProxies, and their image by TestContainer.
func TestCompose(t *testing.T) {
	for _, name := range []string{"caddy.yaml", "nginx.yaml"} {
		document := readYAML(t, "compose/"+name)[0]
		environment, _ := at(document, "services", "parlor", "environment").(map[string]any)
		if len(environment) == 0 {
			t.Errorf("%s: parlor has no environment", name)
		}
		for variable := range environment {
			setting := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, envPrefix), "_", "-"))
			if _, ok := samples[setting]; !ok && setting != "jwt-secret" {
				t.Errorf("%s: %s is no setting", name, variable)
			}
		}
		if at(environment, "PARLOR_TRUSTED_PROXIES") != at(document, "networks", "inside", "ipam", "config", 0, "subnet") {
			t.Errorf("%s: the proxy is not in a trusted network", name)
		}
		dir := filepath.Join("..", "..", "docs", "deploy", "compose")
		file, _ := at(document, "services", "parlor", "build", "dockerfile").(string)
		context, _ := at(document, "services", "parlor", "build", "context").(string)
		if _, err := os.Stat(filepath.Join(dir, context, file)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		proxy := strings.TrimSuffix(name, ".yaml")
		mount, _ := at(document, "services", proxy, "volumes", 0).(string)
		if _, err := os.Stat(filepath.Join(dir, strings.Split(mount, ":")[0])); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKubernetes reads the manifest and compares its parts with each other and with the program.
// There is no cluster here that would take it.
func TestKubernetes(t *testing.T) {
	kinds := make(map[string]map[string]any)
	for _, document := range readYAML(t, "kubernetes/parlor.yaml") {
		kinds[document["kind"].(string)] = document
	}
	pod := at(kinds["StatefulSet"], "spec", "template", "spec")
	main := at(pod, "containers", 0)
	for _, pair := range [][2]any{
		{at(kinds["StatefulSet"], "spec", "replicas"), 1},
		{at(kinds["StatefulSet"], "spec", "serviceName"), at(kinds["Service"], "metadata", "name")},
		{at(kinds["StatefulSet"], "spec", "template", "metadata", "labels", "app"), at(kinds["Service"], "spec", "selector", "app")},
		{at(kinds["Service"], "spec", "ports", 0, "targetPort"), at(main, "ports", 0, "name")},
		{at(kinds["Ingress"], "spec", "rules", 0, "http", "paths", 0, "backend", "service", "port", "name"), at(kinds["Service"], "spec", "ports", 0, "name")},
		{at(main, "ports", 0, "containerPort"), 8080},
		{at(pod, "securityContext", "runAsNonRoot"), true},
		{at(main, "securityContext", "readOnlyRootFilesystem"), true},
		{at(main, "livenessProbe", "httpGet", "path"), "/healthz"},
		{at(main, "readinessProbe", "httpGet", "path"), "/readyz"},
		{at(main, "args", 2), "/config/parlor.yaml"},
	} {
		if pair[0] != pair[1] || pair[0] == nil {
			t.Errorf("%v is not %v", pair[0], pair[1])
		}
	}
	settings, _ := at(kinds["ConfigMap"], "data", "parlor.yaml").(string)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := loadIn(t, strings.ReplaceAll(settings, "/secret/jwt-secret", secret), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}
