//! A private Postgres for tests: one server for a test process, one database for a test.
//!
//! The server stands in a directory of its own under the system's directory for temporary files,
//! listens on a random port of the loopback, and does not wait for the disk. It goes when the test
//! process goes, however that ends. As root it runs as `postgres` (or `nobody`), because a server
//! refuses to run as root.
//!
//! Only with the feature `testing`. Everything here panics with a sentence when it cannot do its
//! work, as a test wants it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests' code

pub mod samples;

pub use audit_client::story;

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::PostgresStore;
use super::postgres::{Roles, Wanted, migrate, prepare_key};
use super::proof::signer::read_key;
use super::proof::vault::FileVault;
use super::proof::{PublicKey, Signer};

const PASSWORD: &str = "for-tests-only";

/// The lease's epoch in a test's database: its first, held by nobody in particular for ever.
pub const EPOCH: i64 = 1;

/// A Postgres server of this process.
pub struct TestServer {
    directory: PathBuf,
    programs: PathBuf,
    port: u16,
    user: Option<(u32, u32)>,
    durable: bool,
    /// Waits for the end of this process, then removes the server.
    cleaner: Child,
}

/// A database of one test, with roles of its own.
#[derive(Clone, Debug)]
pub struct TestDatabase {
    /// The URL as the server's owner: may do everything.
    pub owner_url: String,
    /// The URL as the controller's role.
    pub url: String,
    /// The roles.
    pub roles: Roles,
    /// The database's name.
    pub name: String,
    /// The URL as the role that prunes.
    pub prune_url: String,
    /// Where the signing key is.
    pub key: PathBuf,
}

/// The server that the tests of this process share.
///
/// # Panics
/// When Postgres is not installed or does not start.
pub fn shared() -> &'static TestServer {
    static SHARED: OnceLock<TestServer> = OnceLock::new();
    SHARED.get_or_init(TestServer::start)
}

/// A migrated database on the shared server.
///
/// # Panics
/// When it cannot be made.
pub async fn database() -> TestDatabase {
    shared().database().await
}

impl TestServer {
    /// A server of one's own, for a test that stops it. It goes when this is dropped.
    ///
    /// # Panics
    /// When Postgres is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_as(false)
    }

    /// The same, but a commit waits for the disk, as on a real server: for measuring.
    ///
    /// # Panics
    /// When Postgres is not installed or does not start.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_as(true)
    }

    fn start_as(durable: bool) -> Self {
        let programs = find_programs();
        let directory = std::env::temp_dir().join(format!("operator-postgres-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&directory).expect("a directory for temporary files");
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            chown(&directory, Some(uid), Some(gid)).expect("chown of the server's directory");
        }
        let cleaner = start_cleaner(&directory, &programs, user);
        let mut server = Self { directory, programs, port: 0, user, durable, cleaner };
        let password = server.directory.join("password");
        std::fs::write(&password, PASSWORD).expect("the password's file");
        let mut initdb = server.command("initdb");
        initdb.args(["-U", "owner", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync", "--pwfile"]);
        let output = initdb.arg(password).arg("-D").arg(server.data()).output().expect("initdb");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        for _ in 0..5 {
            server.port = free_port();
            if server.try_to_start() {
                return server;
            }
        }
        panic!("Postgres did not start: {}", server.log())
    }

    /// Stops the server; connections are cut as in a crash.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop(&self) {
        let mut stop = self.command("pg_ctl");
        let stopped =
            stop.args(["stop", "-w", "-m", "immediate", "-D"]).arg(self.data()).stdout(Stdio::null()).status();
        assert!(stopped.expect("pg_ctl").success(), "Postgres did not stop: {}", self.log());
    }

    /// Starts it again, where it was.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&self) {
        assert!(self.try_to_start(), "Postgres did not start again: {}", self.log());
    }

    /// A migrated database, whose lease is taken, so that [`TestDatabase::store`] can write.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn database(&self) -> TestDatabase {
        let database = self.unled_database().await;
        database.as_owner("SELECT acquire_lease('a test', interval '1 year')").await;
        database
    }

    /// A migrated database, whose lease was never taken: nobody can write.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn unled_database(&self) -> TestDatabase {
        let database = self.unled_database_without_key().await;
        database.prepare_key(Wanted::default()).await;
        database
    }

    /// The same, before there is a signing key.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn unled_database_without_key(&self) -> TestDatabase {
        let database = self.empty_database().await;
        let wait = Duration::from_secs(10);
        migrate(&database.owner_url, &database.roles, wait, |_| {}).await.expect("migrations");
        database
    }

    /// A database without any schema; the roles are names so far.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn empty_database(&self) -> TestDatabase {
        let name = format!("test_{:016x}", rand::random::<u64>());
        let mut owner = PgConnection::connect(&self.url("owner", "postgres")).await.expect("the server");
        let create = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0")));
        create.execute(&mut owner).await.expect("a new database");
        let roles = Roles {
            controller: format!("{name}_controller"),
            controller_password: Some(PASSWORD.to_owned().into()),
            reader: format!("{name}_reader"),
            pruner: format!("{name}_pruner"),
            pruner_password: Some(PASSWORD.to_owned().into()),
        };
        let keys = self.directory.join("keys");
        std::fs::create_dir_all(&keys).expect("a directory for keys");
        // Who removes the server's directory has to be able to.
        if let Some((uid, gid)) = self.user {
            chown(&keys, Some(uid), Some(gid)).expect("chown of the keys' directory");
        }
        TestDatabase {
            owner_url: self.url("owner", &name),
            url: self.url(&roles.controller, &name),
            prune_url: self.url(&roles.pruner, &name),
            key: keys.join(&name),
            roles,
            name,
        }
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn try_to_start(&self) -> bool {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={} -c fsync={} \
             -c max_connections=200 -c shared_buffers=32MB",
            self.port,
            self.directory.display(),
            if self.durable { "on" } else { "off" }
        );
        let mut start = self.command("pg_ctl");
        start.args(["start", "-w", "-t", "30", "-o", &options, "-l"]).arg(self.directory.join("log"));
        // The server inherits what pg_ctl has: a pipe would stay open as long as it runs.
        let status = start.arg("-D").arg(self.data()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.directory).env("LC_ALL", "C").stdin(Stdio::null());
        as_user(&mut command, self.user);
        command
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.cleaner.stdin.take());
        let _ = self.cleaner.wait();
    }
}

impl TestDatabase {
    /// The store, as the leading controller has it.
    ///
    /// # Panics
    /// Never: the URL is well-formed.
    #[must_use]
    pub fn store(&self) -> PostgresStore {
        self.writable(&PostgresStore::connect(&self.url).expect("the URL of a test's database"))
    }

    /// A store that signs, and has no epoch yet.
    ///
    /// # Panics
    /// Never: the URL is well-formed.
    #[must_use]
    pub fn unled_store(&self) -> PostgresStore {
        let store = PostgresStore::connect(&self.url).expect("the URL of a test's database");
        store.with_signer(Arc::new(self.signer()))
    }

    /// A store that leads and signs.
    #[must_use]
    pub fn writable(&self, store: &PostgresStore) -> PostgresStore {
        store.fenced(EPOCH).with_signer(Arc::new(self.signer()))
    }

    /// The controller's signer.
    #[must_use]
    pub fn signer(&self) -> Signer {
        Signer::at(self.key.clone())
    }

    /// The key that counts.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        read_key(&self.key).expect("a key").expect("a key").public()
    }

    /// What `operator migrate` does for the signing key.
    ///
    /// # Panics
    /// When it cannot be done.
    pub async fn prepare_key(&self, wanted: Wanted) {
        let vault = FileVault::new(self.key.clone());
        prepare_key(&self.owner_url, &vault, wanted).await.expect("the signing key");
    }

    /// Everything that stands in the tables, as text; bytes in full.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn dump(&self) -> String {
        let mut owner = PgConnection::connect(&self.owner_url).await.expect("the server");
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'installation_secret'",
        )
        .fetch_all(&mut owner)
        .await
        .expect("the tables");
        let mut dump = String::new();
        for table in tables {
            let rows = format!("SELECT to_jsonb(t)::text FROM public.\"{table}\" t");
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut owner).await.expect("the rows");
            dump.push_str(&rows.join("\n"));
        }
        let bodies: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT body FROM entries").fetch_all(&mut owner).await.expect("the bodies");
        dump.extend(bodies.iter().map(|body| String::from_utf8_lossy(body).into_owned()));
        dump
    }

    /// Runs statements as the database's owner.
    ///
    /// # Panics
    /// When they fail.
    pub async fn as_owner(&self, sql: &str) {
        // The owner can undo a read-only database.
        let options: PgConnectOptions = self.owner_url.parse().expect("the URL of a test's database");
        let options = options.options([("default_transaction_read_only", "off")]);
        let mut owner = PgConnection::connect_with(&options).await.expect("the server");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut owner).await.expect("the owner's statement");
    }

    /// Cuts every other connection to this database.
    ///
    /// # Panics
    /// When the server is gone.
    pub async fn cut_connections(&self) {
        let name = &self.name;
        self.as_owner(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        ))
        .await;
    }

    /// Makes the database read-only, or writable again, for every new connection, and cuts the old ones.
    ///
    /// # Panics
    /// When the server is gone.
    pub async fn set_read_only(&self, read_only: bool) {
        let name = &self.name;
        self.as_owner(&format!("ALTER DATABASE {name} SET default_transaction_read_only = {read_only}")).await;
        self.cut_connections().await;
    }
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
}

/// Reads from this process until it is gone, by whatever death, then removes the server.
fn start_cleaner(directory: &Path, programs: &Path, user: Option<(u32, u32)>) -> Child {
    let script = "trap '' INT TERM HUP; cat >/dev/null; \"$1/pg_ctl\" stop -m immediate -D \"$2/data\"; rm -rf \"$2\"";
    let mut cleaner = Command::new("/bin/sh");
    cleaner.args(["-c", script, "cleaner"]).arg(programs).arg(directory).current_dir("/");
    cleaner.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    as_user(&mut cleaner, user);
    cleaner.spawn().expect("/bin/sh")
}

/// The user to run as, when this process is root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).unwrap_or((65534, 65534)))
}

/// The directory of `initdb`: in the PATH, or the newest where Debian keeps them.
fn find_programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort();
    let candidates = debian.into_iter().rev().map(|(_, path)| path).chain(std::env::split_paths(&path));
    candidates
        .into_iter()
        .find(|directory| directory.join("initdb").exists() && directory.join("pg_ctl").exists())
        .expect("these tests need Postgres' server programs (initdb, pg_ctl), which are not installed: `apt-get install postgresql`, or put their directory into the PATH")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on the loopback");
    listener.local_addr().expect("its address").port()
}
