//! The right to be the only process of its kind: a bound socket.

use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::io::{FdFlags, fcntl_setfd};

/// The longest name of an abstract socket: the kernel's 108 bytes less the first, which is zero.
const LONGEST: usize = 107;

/// A name that one process of a network namespace has at a time, with the children that it hands
/// the name to. The containers of a pod share that namespace.
///
/// The name is that of an abstract socket. The kernel frees it when the last of these processes has
/// ended, however it ended.
#[derive(Debug)]
pub struct Sole(UnixDatagram);

impl Sole {
    /// Takes the name. None: another process has it.
    ///
    /// # Errors
    /// If the operating system refuses for another reason.
    pub fn take(name: &str) -> io::Result<Option<Self>> {
        let address = SocketAddr::from_abstract_name(short(name))?;
        match UnixDatagram::bind_addr(&address) {
            Ok(socket) => Ok(Some(Self(socket))),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets the process that `start` starts keep the name, and its children, too. Another child
    /// that starts at the same moment may keep it as well, until it ends.
    ///
    /// # Errors
    /// Those of `start`, and if the operating system refuses.
    pub fn handed_on<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        fcntl_setfd(self.0.as_fd(), FdFlags::empty())?;
        let started = start();
        fcntl_setfd(self.0.as_fd(), FdFlags::CLOEXEC)?;
        started
    }
}

/// The name, or its beginning and a digest of it if it is too long for a socket.
fn short(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let digest = format!("#{:016x}", fnv(name));
    let kept = name.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = kept.take_while(|end| *end <= LONGEST - digest.len()).last().unwrap_or_default();
    name.get(..end).unwrap_or_default().to_owned() + &digest
}

/// FNV-1a: the same in each version of this program.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unique(name: &str) -> String {
        format!("election-operator test {} {name}", std::process::id())
    }

    #[test]
    fn a_name_is_free_again_when_its_last_owner_has_ended() {
        let name = unique("free");
        let first = Sole::take(&name).unwrap().unwrap();
        assert!(Sole::take(&name).unwrap().is_none());
        let start = || std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn();
        let mut child = first.handed_on(start).unwrap();
        let stranger = start().unwrap();
        drop(first);
        assert!(Sole::take(&name).unwrap().is_none(), "the child has it");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(Sole::take(&name).unwrap().is_some(), "a child that was not handed the name has it not");
        let mut stranger = stranger;
        drop(stranger.stdin.take());
        stranger.wait().unwrap();
    }

    #[test]
    fn long_names_stay_apart() {
        let long = |end: &str| unique(&"é".repeat(200)) + end;
        let _first = Sole::take(&long("a")).unwrap().unwrap();
        assert!(Sole::take(&long("a")).unwrap().is_none());
        assert!(Sole::take(&long("b")).unwrap().is_some());
        assert_eq!(short("shop/orders"), "shop/orders");
        assert!(short(&long("a")).len() <= LONGEST);
    }

    #[test]
    fn the_digest_is_the_published_one() {
        assert_eq!(fnv("foobar"), 0x8594_4171_f739_67e8);
    }
}
