//! The wire between one replica and Postgres, which can be cut as a network is: without a word.

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::database::Database;

/// See the module.
pub(crate) struct Wire {
    /// For `DATABASE_URL`.
    pub(crate) url: String,
    /// How often it was cut or mended: odd while it is cut.
    turns: watch::Sender<u64>,
    close: CancellationToken,
}

impl Wire {
    /// Lays a wire to this database; its socket is in this folder.
    pub(crate) fn lay(database: &Database, folder: &Path) -> Self {
        let socket = socket(&database.runtime);
        let here = folder.join(socket.file_name().unwrap());
        let listener = UnixListener::bind(&here).unwrap();
        let (turns, close) = (watch::Sender::new(0), CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn({
            let (turns, close) = (turns.clone(), close.clone());
            async move {
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    tokio::spawn(carry(
                        client,
                        socket.clone(),
                        turns.subscribe(),
                        close.clone(),
                    ));
                }
            }
        });
        let (there, _) = database.url.split_once("?host=").unwrap();
        Self {
            url: format!("{there}?host={}", folder.to_str().unwrap()),
            turns,
            close,
        }
    }

    /// From now on nothing goes through, and neither end is told.
    pub(crate) fn cut(&self) {
        self.turns.send_modify(|turns| *turns |= 1);
    }

    /// New connections go through. Those that were cut stay silent, as behind a firewall that forgot them.
    pub(crate) fn mend(&self) {
        self.turns.send_modify(|turns| *turns += *turns % 2);
    }

    /// Closes the connections that were cut.
    pub(crate) fn close_cut(&self) {
        self.close.cancel();
    }
}

fn socket(options: &PgConnectOptions) -> PathBuf {
    let folder = options.get_socket().unwrap();
    folder.join(format!(".s.PGSQL.{}", options.get_port()))
}

async fn carry(
    mut client: UnixStream,
    socket: PathBuf,
    mut turns: watch::Receiver<u64>,
    close: CancellationToken,
) {
    let Ok(turn) = turns.wait_for(|turn| turn % 2 == 0).await.map(|turn| *turn) else {
        return;
    };
    let mut server = UnixStream::connect(socket).await.unwrap();
    let is_silent = tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => false,
        _ = turns.wait_for(|now| *now != turn) => true,
    };
    if is_silent {
        close.cancelled().await;
    }
}
