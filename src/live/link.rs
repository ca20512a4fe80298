//! One TCP connection as both drivers use it: a non-blocking socket, the bytes of a packet that is
//! not complete yet, and the bounded bytes that the socket did not take yet.

use crate::mqtt::codec::{self, CodecError};
use crate::mqtt::packet::Packet;
use crate::stats::event::Cause;
use nix::sys::socket::{setsockopt, sockopt};
use outbox::Outbox;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of the buffer that all connections of a process read into in turn.
pub(super) const READ_BUFFER: usize = 64 * 1024;

/// Longest packet accepted from a peer, in bytes, fixed header included.
pub(super) const PACKET_MAX: usize = 1024 * 1024;

/// Reads of one connection before the others get their turn.
pub(super) const READS_PER_TURN: usize = 4;

/// Connections that the kernel holds for a listener until they are accepted.
pub const LISTEN_BACKLOG: i32 = 4096;

/// A connection that is being opened or is open. Dropping it closes the socket (with FIN, or RST
/// if unread bytes remain) and wakes its task, which then ends.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    established: bool,
    /// Nothing is written or read for now.
    is_held: bool,
    /// Why a write failed; the reader tells it once what came before has been read.
    broken: Option<Cause>,
    /// The beginning of a packet; allocated only while there is one.
    inbox: Vec<u8>,
    /// What the socket did not take; allocated only while there is some.
    outbox: Outbox,
    /// Bytes that may be kept beside the limit: what a burst left, until nothing is kept.
    burst: usize,
    /// The latest burst began within the limit.
    may_burst: bool,
    waker: Option<Waker>,
}

impl Link {
    /// Begins to connect to `target` from `source` (`None` = the kernel chooses).
    ///
    /// # Errors
    /// If the kernel refuses at once.
    pub(super) fn connect(target: SocketAddr, source: Option<IpAddr>) -> Result<Self, Cause> {
        let stream = begin_connect(target, source).map_err(|error| cause_of(&error))?;
        Ok(Self::new(stream, false))
    }

    /// A connection that the listener accepted.
    pub(super) fn accepted(stream: TcpStream) -> Self {
        Self::new(stream, true)
    }

    const fn new(stream: TcpStream, established: bool) -> Self {
        Self {
            stream,
            established,
            is_held: false,
            broken: None,
            inbox: Vec::new(),
            outbox: Outbox::new(),
            burst: 0,
            may_burst: false,
            waker: None,
        }
    }

    /// Whether the transport is open.
    pub(super) fn is_established(&self) -> bool {
        self.established
    }

    /// Remembers the task that polls this link, to be woken when bytes wait or the link is dropped.
    pub(super) fn remember(&mut self, cx: &Context<'_>) {
        if self.waker.is_none() {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Gives the task that polls this link a turn.
    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Writes what was kept, reads and drops what comes; resolves when the connection has ended.
    pub(super) fn poll_drained(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<()> {
        if !self.established && ready!(self.poll_established(cx)).is_err() {
            return Poll::Ready(());
        }
        let _ = self.poll_flush(cx);
        for _ in 0..READS_PER_TURN {
            if ready!(self.poll_read(cx, buffer)).is_err() {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Resolves when the transport is open or has failed to open.
    pub(super) fn poll_established(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        let outcome = match ready!(self.stream.poll_write_ready(cx)) {
            Ok(()) => self.stream.take_error(),
            Err(error) => Err(error),
        };
        Poll::Ready(match outcome {
            Ok(None) => {
                self.established = true;
                Ok(())
            }
            Ok(Some(error)) | Err(error) => Err(cause_of(&error)),
        })
    }

    /// Reads what there is into `buffer`: at least one byte, or why the connection ended. A read
    /// that does not fill the buffer spares the one that would find nothing.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Cause>> {
        let mut read = ReadBuf::new(buffer);
        let outcome = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
        Poll::Ready(match outcome {
            Ok(()) if read.filled().is_empty() => Err(self.broken.unwrap_or(Cause::ClosedByPeer)),
            Ok(()) => Ok(read.filled().len()),
            Err(error) => Err(cause_of(&error)),
        })
    }

    /// From now on nothing is written or read: what is to be written is kept.
    pub(super) const fn hold(&mut self) {
        self.is_held = true;
    }

    /// Whether nothing is written or read for now.
    pub(super) const fn is_held(&self) -> bool {
        self.is_held
    }

    /// Writes what was kept, and has its task read on.
    pub(super) fn let_go(&mut self) {
        self.is_held = false;
        self.flush();
        self.wake();
    }

    /// Drops what was kept and will never be written.
    pub(super) fn forget_kept(&mut self) {
        self.is_held = false;
        self.outbox.clear();
    }

    /// Writes `bytes`; what the socket does not take is kept and written by [`Link::poll_flush`].
    ///
    /// # Errors
    /// If `limit` bytes are kept already, beside those of a burst: so at most `limit`, the burst and
    /// the bytes of one call are kept.
    pub(super) fn write(&mut self, bytes: &[u8], limit: usize) -> Result<(), Overflow> {
        if self.broken.is_some() || bytes.is_empty() {
            return Ok(());
        }
        if self.is_held || !self.outbox.is_empty() {
            if self.outbox.len() > limit.saturating_add(self.burst) {
                return Err(Overflow);
            }
            self.outbox.end().extend_from_slice(bytes);
            return Ok(());
        }
        self.burst = 0;
        let taken = self.try_write(bytes);
        if taken < bytes.len() && self.broken.is_none() {
            self.outbox.end().extend_from_slice(&bytes[taken..]);
            self.wake();
        }
        Ok(())
    }

    /// Keeps what `encode` appends until [`Link::flush`], which takes many messages in one write;
    /// whether nothing was kept before. On error nothing is kept.
    ///
    /// A burst is any number of calls of which all but the first say that it `goes_on`. One that
    /// begins while no more than `limit` bytes are kept is kept whole, and does not count against the
    /// limit until all is written: its length is bounded by whoever makes it.
    ///
    /// # Errors
    /// As [`Link::write`], or as `encode` says.
    pub(super) fn keep(
        &mut self,
        limit: usize,
        goes_on: bool,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
    ) -> Result<bool, NotKept> {
        if self.broken.is_some() {
            return Ok(false);
        }
        let was_empty = self.outbox.is_empty();
        if was_empty {
            self.burst = 0;
        }
        if !goes_on {
            self.may_burst = self.outbox.len() <= limit;
        }
        let is_burst = goes_on && self.may_burst;
        if !is_burst && self.outbox.len() > limit.saturating_add(self.burst) {
            return Err(NotKept::Overflow);
        }
        encode(self.outbox.end()).map_err(|_| NotKept::Unencodable)?;
        if is_burst && self.outbox.len() > limit {
            self.burst = self.outbox.len();
        }
        Ok(was_empty)
    }

    /// Writes what was kept, as far as the socket takes it now; the task sees to the rest.
    pub(super) fn flush(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        self.write_waiting();
        if self.broken.is_some() {
            self.outbox.clear();
        } else if !self.outbox.is_empty() {
            self.wake();
        }
    }

    /// Writes what was kept; resolves when nothing is kept any more.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.outbox.is_empty() && self.broken.is_none() {
            if let Err(error) = ready!(self.stream.poll_write_ready(cx)) {
                self.broken = Some(cause_of(&error));
                break;
            }
            self.write_waiting();
        }
        self.outbox.clear();
        Poll::Ready(())
    }

    /// Writes of what waits as much as the socket takes now.
    fn write_waiting(&mut self) {
        let outbox = std::mem::take(&mut self.outbox);
        let taken = self.try_write(outbox.waiting());
        self.outbox = outbox;
        self.outbox.take(taken);
    }

    /// Bytes taken by the socket now; a failure is kept for the reader, which sees it after
    /// whatever the peer had sent before.
    fn try_write(&mut self, bytes: &[u8]) -> usize {
        match self.stream.try_write(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                self.broken = Some(cause_of(&error));
                0
            }
        }
    }

    /// The beginning of a packet, to be handed to [`each_packet`] and given back.
    pub(super) fn inbox(&mut self) -> &mut Vec<u8> {
        &mut self.inbox
    }

    /// Closes with RST instead of FIN.
    pub(super) fn reset(self) {
        self.reset_when_closed();
    }

    /// Closing will send RST instead of FIN.
    pub(super) fn reset_when_closed(&self) {
        // If the peer has reset it already, the option is refused and not needed.
        let _ = self.stream.set_zero_linger();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// More bytes wait for a connection than its limit allows.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) struct Overflow;

/// Why a message was not kept for a connection.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum NotKept {
    /// More bytes wait than the limit allows.
    Overflow,
    /// MQTT 3.1.1 cannot carry it.
    Unencodable,
}

/// Hands each complete packet of `inbox` followed by `read` to `step` until that returns false;
/// what is left is the new `inbox`.
///
/// # Errors
/// If the bytes are not MQTT 3.1.1, or a packet is longer than [`PACKET_MAX`].
pub(super) fn each_packet(
    inbox: &mut Vec<u8>,
    read: &[u8],
    mut step: impl FnMut(Packet<'_>) -> bool,
) -> Result<(), CodecError> {
    let joined;
    let mut bytes = read;
    if !inbox.is_empty() {
        inbox.extend_from_slice(read);
        joined = std::mem::take(inbox);
        bytes = &joined;
    }
    while let Some((packet, taken)) = codec::decode(bytes, PACKET_MAX)? {
        bytes = &bytes[taken..];
        if !step(packet) {
            return Ok(());
        }
        if bytes.is_empty() {
            return Ok(());
        }
    }
    inbox.extend_from_slice(bytes);
    Ok(())
}

/// Listens on `address` with [`LISTEN_BACKLOG`]; what is accepted sends without delay. To be called
/// inside a runtime.
///
/// # Errors
/// If the address is taken or not ours.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What an operating system error means to a device.
pub(super) fn cause_of(error: &io::Error) -> Cause {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => Cause::Refused,
        Some(Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED) => Cause::Reset,
        Some(Errno::MFILE | Errno::NFILE) => Cause::GeneratorFds,
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => Cause::GeneratorPorts,
        Some(Errno::NOBUFS | Errno::NOMEM) => Cause::GeneratorBuffers,
        Some(_) | None => Cause::Unreachable,
    }
}

/// Begins to connect to `target` from `source` (`None` = the kernel chooses).
///
/// # Errors
/// If the kernel refuses at once.
pub(super) fn begin_connect(target: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(target),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        // The kernel chooses the port at connect time, so that one port serves many destinations.
        if source.is_ipv4() {
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        }
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&target.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    TcpStream::from_std(socket.into())
}

/// Whether `listener` sends without delay; what it accepts does the same.
pub(super) fn set_nodelay(listener: &TcpListener) {
    // A listener that refuses the option still serves.
    let _ = SockRef::from(listener).set_tcp_nodelay(true);
}

mod outbox;
#[cfg(test)]
mod tests;
