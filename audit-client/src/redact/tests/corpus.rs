//! What commands of an SRE print.

/// No secret stands in these.
pub(super) const ORDINARY: &[&str] = &[
    // docker ps, inspect, images
    "CONTAINER ID   IMAGE                COMMAND                  CREATED         STATUS         PORTS      NAMES\n4c01db0b339c   redis:7-bookworm     \"docker-entrypoint.s…\"   2 minutes ago   Up 2 minutes   6379/tcp   ratelimiter-redis-1\n",
    "\"Id\": \"sha256:9c7a54a9a43cca047013b82af109fe963fde787f63f9e016fdc3384500c2823d\",\n\"RepoDigests\": [\"redis@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"],\n",
    "{\"Env\": [\"PATH=/usr/local/sbin:/usr/local/bin\", \"GOSU_VERSION=1.17\", \"REDIS_DOWNLOAD_SHA=5981179706f8391f03be91d951acafaeda91af7fac56beffb2701963103e423d\"]}",
    "\"Secrets\": null, \"SecretName\": \"db\", \"Tty\": false, \"Config\": {\"Hostname\": \"4c01db0b339c\", \"Token\": null}",
    // git
    "commit 98deea7c03a3d024571fe8544268b71b77180a1b (HEAD -> leader)\nAuthor: A B <a@b.example>\nDate:   Wed Nov 25 2026\n\n    Rotate the token bucket\n",
    // kubernetes
    "apiVersion: v1\ndata:\n  level: info\n  config.yaml: |\n    replicas: 3\nkind: ConfigMap\nmetadata:\n  name: settings\n  uid: 6f1c9c5e-1f0b-4d43-9b8e-0a1b2c3d4e5f\n  resourceVersion: \"812345\"\n",
    "      volumes:\n      - name: tls\n        secret:\n          secretName: shop-tls\n          defaultMode: 420\n      serviceAccountName: shop\n      automountServiceAccountToken: false\n      - secretRef:\n          name: shop-env\n        secretKeyRef: {name: db, key: password}\n",
    "MountVolume.SetUp failed for volume \"tls\" : secret \"shop-tls\" not found\nsecrets \"db\" is forbidden: User \"system:serviceaccount:a:b\" cannot get resource \"secrets\"\n",
    "NAME                     TYPE                DATA   AGE\nsecret/db                Opaque              2      3d\nsecret/default-token-x7  kubernetes.io/tls   3      9d\n",
    // databases
    "FATAL:  password authentication failed for user \"shop\"\nDETAIL:  Connection matched pg_hba.conf line 95: \"host all all all scram-sha-256\"\n",
    "psql: error: connection to server at \"db\" (10.0.0.3), port 5432 failed: fe_sendauth: no password supplied\nPassword for user postgres: \n",
    "NOAUTH Authentication required.\nWRONGPASS invalid username-password pair or user is disabled.\nERR AUTH <password> called without any password configured for the default user.\n",
    "requirepass\n\nmasterauth\n\nmaxmemory\n0\n# requirepass is not set\n1) \"requirepass\"\n2) \"\"\n",
    "# Server\nredis_version:7.2.4\nredis_git_sha1:00000000\nredis_build_id:c9d6c8f1f0f3a1b2\nrun_id:8f7d1c0a9b8e7f6d5c4b3a29181706f5e4d3c2b1\nmaster_replid:5b1f0a9d8c7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a\n",
    "{\"level\":\"warn\",\"msg\":\"etcd lease\",\"member-id\":\"8e9e05c52164694d\",\"cluster-id\":\"cdf818194e3a8c32\",\"initial-cluster-token\":\"etcd-cluster-1\"}",
    "ETCD_INITIAL_CLUSTER_TOKEN=etcd-cluster-1\nETCD_AUTH_TOKEN_TTL=300\n",
    // rate limiting, models, pagination
    "token bucket: 100 tokens, refill 10/s; tokens=57 max_tokens=100 token_count=3\nremaining tokens: 42\ninput_tokens: 100, output_tokens: 10\n",
    "unexpected token: }\nsyntax error near unexpected token `fi'\nSyntaxError: Unexpected token < in JSON at position 0\ninvalid token: expired\n",
    // HTTP
    "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"https://auth.example.org/token\",service=\"registry\"\r\nContent-Length: 26\r\n\r\nbearer token required\n",
    "< HTTP/1.1 503 Service Unavailable\n< x-request-id: 0af7651916cd43dd8448eb211c80319c\n< traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n< etag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\n",
    "http://user-service.default.svc.cluster.local:8080/path@v1 http://10.0.0.1:8080/a?email=x@example.org https://example.org/@scope/pkg\nssh://git@github.com:22/a/b.git git@github.com:a/b.git\n",
    "GET /api/v1/namespaces/default/secrets?limit=500 200 in 12ms\nPOST /oauth/token 401 3ms\nGET /reset-password 200\nauthorization failed: denied by policy\n",
    // environment and files
    "PWD=/work\nOLDPWD=/\nHOME=/home/agent\nSSH_AUTH_SOCK=/tmp/agent.sock\nPOSTGRES_PASSWORD_FILE=/run/secrets/db\nVAULT_TOKEN_PATH=/x\nXAUTHORITY=/root/.Xauthority\nTOKEN=\nSECRET=\"\"\n",
    "passwd:         files systemd\ngroup:          files systemd\nshadow:         files\n",
    "root:x:0:0:root:/root:/bin/bash\ndaemon:*:1:1::/:/usr/sbin/nologin\nredis:!:19000::::::\n",
    "password = os.environ[\"DB_PASSWORD\"]\ntoken = get_token(name)\nsecret: {{ .Values.secret }}\npassword: ${DB_PASSWORD}\napi_key: $API_KEY\npassword=<your password>\npassword: ********\n",
    "    proxy_pass http://backend:8080;\n    fastcgi_pass unix:/run/php.sock;\n    ssl_certificate_key /etc/tls/tls.key;\n    auth_basic_user_file /etc/nginx/.htpasswd;\n",
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n-----END CERTIFICATE-----\n-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n",
    // help texts, code, tests
    "  -p, --password string      Password or Personal Access Token (PAT)\n      --password-stdin       Take the password from stdin\n      --token <token>        The token\n",
    "fn login(user: &str, password: &str, token: Option<String>) -> Result<Secret>\ndef f(password: str = None, secret: bytes = b\"\"): pass\n",
    "test result: ok. pass: 12 fail: 0\nPASS: 3\nok  \tgithub.com/a/b\t0.3s\nbypass=true nopass\n",
    // names, hashes, ids that look like something
    "ip-10-0-0-1.eu-central-1.compute.internal node-sk-southeast-production-cluster-01 task-4f3a risk-management-service-7d9c6bf5d-x2x9z\n",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  file.tar.gz\nd41d8cd98f00b204e9800998ecf8427e  empty\nmd5: d41d8cd98f00b204e9800998ecf8427e\n",
    "dGhpcyBpcyBub3QgYSBzZWNyZXQgYnV0IGJhc2U2NCBvZiBzb21lIHRleHQ=\nAAAAB3NzaC1yc2EAAAADAQABAAABgQC7 user@host\n",
    "kind: Secret\nkind: SecretList\nkeys *\nkey: user:1234\nprimary key (id), foreign key (user_id)\nmonkey=banana\nkeyspace hits: 3\npublic_key: abcdef0123456789\n",
    "2026-11-25T10:00:00Z error login failed user=alice ip=10.0.0.7 attempts=3 reason=\"bad password\" password= token=null\n",
    "00:11:22:33:44:55 fe80::42:acff:fe12:2 [::1]:6379 10.0.0.0/8 a:5432:b\n",
    "  % Total    % Received % Xferd  Average Speed   Time\ncurl: (7) Failed to connect to api port 8080: Connection refused\n",
];

/// Pieces of which texts are made by lot.
pub(super) const PARTS: &[&str] = &[
    "password",
    "=",
    ": ",
    "\"",
    "'",
    "\\\"",
    "\n",
    " ",
    "hunter2hunter2",
    "token",
    "secret",
    "{",
    "}",
    ",",
    ";",
    "\\n",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END RSA PRIVATE KEY-----",
    "apiVersion: v1\n",
    "data:\n",
    "  a: ",
    "aHVudGVyMmh1bnRlcjI=",
    "kind: Secret\n",
    "---\n",
    "Authorization: Bearer ",
    "http://a:",
    "@b",
    "\0",
    "\r",
    "é",
    "|",
    "name: X_PASSWORD",
    "value: ",
    "requirepass ",
    "[redacted:",
    "]",
    "-",
    "- ",
    "redis-cli -a ",
    "$6$",
];

/// Many secrets among ordinary lines.
pub(super) fn with_secrets() -> String {
    let key =
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\nabcd+/==\n-----END RSA PRIVATE KEY-----\n";
    let token = format!("ghp{}", "_Zx81mQp0Lk2Jd9Vb7Nc4Tr6Ws3Ye5Ug1AbCd");
    let mut text = String::new();
    for (index, ordinary) in ORDINARY.iter().enumerate() {
        text.push_str(ordinary);
        if !ordinary.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&match index % 6 {
            0 => format!("x {token} y\n"),
            1 => key.to_owned(),
            2 => "POSTGRES_PASSWORD=two words\nHOME=/root\n".to_owned(),
            3 => "1) \"requirepass\"\n2) \"foobared\"\n".to_owned(),
            4 => "---\napiVersion: v1\ndata:\n  password: aHVudGVyMg==\nkind: Secret\nmetadata:\n  name: db\n---\n"
                .to_owned(),
            _ => "- name: DB_PASSWORD\n  value: foobared\n- name: DB_HOST\n  value: db\n".to_owned(),
        });
    }
    text
}
