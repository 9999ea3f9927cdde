//! The floor under the proxy, and the only room that names monoio. In: addresses, buffers, futures. Out: connections,
//! bytes, time, wake-ups.
//! Always: everything here belongs to one worker's thread, except [`wake::WakeSender`]; a pending accept is never
//! dropped; a task that panics ends only itself.

pub mod alarm;
pub mod dialed;
pub mod listener;
pub mod notify;
pub mod ring;
pub mod stream;
pub mod task;
pub mod wake;

pub use alarm::Alarm;
pub use dialed::{Dialed, DialedReader, DialedWriter};
pub use listener::{Accepted, BoundListener, Fresh, Listener};
pub use notify::Notify;
pub use ring::{IoChoice, IoDriver, IoReport, Runtime, rest_thread};
pub use stream::{PollStream, ReadHalf, Stream, WriteHalf};
pub use task::{Elapsed, sleep, sleep_until, spawn, spawn_holding, timeout};
pub use wake::{WakeReceiver, WakeSender, turn, wake_pair};
