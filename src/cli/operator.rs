//! Who runs a command that changes something: the operating system's account and the machine. Nobody signs in
//! at a shell, so that is all that is known.

use crate::access::person::Actor;
use crate::access::text::from_outside;

/// Whoever runs this program, and after `sudo` whoever they were before.
pub(super) fn operator() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = account_of(&accounts, uid).unwrap_or_else(|| format!("uid {uid}"));
    let account = match std::env::var("SUDO_USER") {
        Ok(before) => format!("{before} as {account}"),
        Err(_) => account,
    };
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok());
    let machine = machine.unwrap_or_else(|| "an unknown machine".to_owned());
    Actor::Operator {
        name: from_outside(&format!("{account}@{}", machine.trim())),
    }
}

fn account_of(accounts: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\ncurfew:x:10001:10001:Curfew:/nonexistent:/x\n";
        assert_eq!(account_of(accounts, 10001).as_deref(), Some("curfew"));
        assert_eq!(account_of(accounts, 1), None);
        assert_eq!(account_of("", 0), None);
    }
}
