//! OpenLDAP's own server, `slapd`, in a folder and on ports of its own.
//!
//! Owns how it is configured, filled and started. What else is in it, and who asks it, is the tests'.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

const BETWEEN: Duration = Duration::from_millis(20);

/// What every directory has: one who may search with the password `look`, people, guests and groups.
const ENTRIES: &str = "\
dn: dc=acme,dc=com
objectClass: dcObject
objectClass: organization
o: Acme
dc: acme

dn: cn=searcher,dc=acme,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: searcher
userPassword: look

dn: ou=people,dc=acme,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=guests,dc=acme,dc=com
objectClass: organizationalUnit
ou: guests

dn: ou=groups,dc=acme,dc=com
objectClass: organizationalUnit
ou: groups
";

/// A running directory of `dc=acme,dc=com`.
#[derive(Debug)]
pub struct Directory {
    child: Child,
    plain: SocketAddr,
    secure: SocketAddr,
    _folder: TempDir,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A test that fails has said why already.
        drop(self.stop());
    }
}

impl Directory {
    /// The only one who may read entries: who it is, and the password.
    pub const SEARCHER: (&str, &str) = ("cn=searcher,dc=acme,dc=com", "look");

    /// Starts one with these `entries` (LDIF) more, below `ou=people`, `ou=guests` and `ou=groups`; it shows this
    /// certificate, whose key is `key` (PEM both).
    ///
    /// # Errors
    /// `slapd` is not installed, or does not like what it is told.
    pub fn start(entries: &str, certificate: &str, key: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("server.pem"), certificate)?;
        fs::write(at("server.key"), key)?;
        fs::write(at("slapd.conf"), configuration(folder.path()))?;
        fs::write(at("entries.ldif"), format!("{ENTRIES}\n{entries}"))?;
        fs::create_dir(at("data"))?;
        let mut loading = Command::new("slapadd");
        let loading = loading.arg("-f").arg(at("slapd.conf")).arg("-l").arg(at("entries.ldif"));
        let loaded = loading.output().context("slapd, of Debian's package of that name, is installed")?;
        ensure!(loaded.status.success(), "slapadd: {}", String::from_utf8_lossy(&loaded.stderr));
        // Somebody else may take a port between looking for it and listening on it.
        for _ in 0..5 {
            let (plain, secure) = two_ports()?;
            let mut child = Command::new("slapd")
                .args(["-d", "256", "-h", &format!("ldap://{plain}/ ldaps://{secure}/"), "-f"])
                .arg(at("slapd.conf"))
                .stdout(Stdio::null())
                .stderr(File::create(at("slapd.log"))?)
                .spawn()?;
            while child.try_wait()?.is_none() {
                if TcpStream::connect(secure).is_ok() && TcpStream::connect(plain).is_ok() {
                    return Ok(Self { child, plain, secure, _folder: folder });
                }
                std::thread::sleep(BETWEEN);
            }
        }
        bail!("slapd does not start: {}", fs::read_to_string(at("slapd.log"))?)
    }

    /// Where it listens in the clear, and for StartTLS.
    #[must_use]
    pub fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// Where it listens on TLS.
    #[must_use]
    pub fn secure(&self) -> SocketAddr {
        self.secure
    }

    /// Ends it.
    ///
    /// # Errors
    /// The system does not let it end.
    pub fn stop(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

fn two_ports() -> io::Result<(SocketAddr, SocketAddr)> {
    let (plain, secure) =
        (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    Ok((plain.local_addr()?, secure.local_addr()?))
}

/// What the server is told: nobody but the searcher reads anything.
fn configuration(folder: &Path) -> String {
    let (at, (searcher, _)) = (folder.display(), Directory::SEARCHER);
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         pidfile {at}/slapd.pid\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         TLSCertificateFile {at}/server.pem\n\
         TLSCertificateKeyFile {at}/server.key\n\
         database mdb\n\
         maxsize 16777216\n\
         suffix \"dc=acme,dc=com\"\n\
         directory {at}/data\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact=\"{searcher}\" read by * none\n"
    )
}
