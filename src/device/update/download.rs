//! The download of an image: block by block on request, or as the body of an HTTP answer. Counts what
//! comes, hashes it in order as it comes, and says what to ask for next. Nothing of it is kept but
//! what came ahead of its turn, at most a window of blocks.

use crate::scenario::update::UpdateClient;
use crate::time::{Duration, Instant};
use sha2::{Digest as _, Sha256};

/// Blocks to be asked for: the first, and how many in a row.
pub(super) type Run = (u32, u32);

/// Most bytes of one request: the limit of `aws-streams`.
const REQUEST_BYTES_MAX: u32 = 131_072;

/// Most bytes of an image that a device takes: the limit of `aws-streams`, and of the plan.
pub(super) const IMAGE_BYTES_MAX: u32 = 24 << 20;

/// What the flash has, and when it takes more.
#[derive(Clone, Debug)]
struct Flash {
    hash: Sha256,
    /// When it has written what came.
    free: Instant,
}

impl Flash {
    fn empty() -> Self {
        Self {
            hash: Sha256::new(),
            free: Instant::ZERO,
        }
    }

    fn write(&mut self, now: Instant, bytes: &[u8], rate: Option<f64>) {
        self.hash.update(bytes);
        if let Some(rate) = rate {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a block is far below 2^53 bytes"
            )]
            let seconds = bytes.len() as f64 / rate;
            let span = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            self.free = self.free.max(now).after(span);
        }
    }
}

/// A download block by block.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    flash: Flash,
    /// Of the image.
    bytes: u32,
    block_bytes: u32,
    /// How many blocks there are.
    blocks: u32,
    /// The first block that is not in flash: the resume point.
    next: u32,
    /// The first block that was not asked for; at most a window above `next`.
    asked: u32,
    /// Blocks between the two that came ahead of their turn.
    ahead: Vec<(u32, Vec<u8>)>,
    /// How often in a row blocks were asked for again.
    again: u16,
    /// When what was asked for is overdue; never, if nothing is.
    overdue: Instant,
    /// Nothing is asked for until the server has said that the update still stands.
    paused: bool,
}

/// What became of a block.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// It was here already, or was not asked for.
    Unwanted,
    /// There is no such block.
    OutOfRange,
    /// It has not the bytes that its place must have.
    WrongLength,
    /// It is in flash, or will be in its turn.
    Kept,
}

impl Blocks {
    /// The download of `bytes` in `blocks` blocks, from the first on.
    pub(super) fn new(bytes: u32, block_bytes: u32, blocks: u32) -> Self {
        Self {
            flash: Flash::empty(),
            bytes,
            block_bytes,
            blocks,
            next: 0,
            asked: 0,
            ahead: Vec::new(),
            again: 0,
            overdue: Instant::NEVER,
            paused: false,
        }
    }

    /// Blocks in flash.
    pub(super) const fn received(&self) -> u32 {
        self.next
    }

    /// Blocks of the image.
    pub(super) const fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Whether all blocks are in flash.
    pub(super) const fn is_complete(&self) -> bool {
        self.next == self.blocks
    }

    /// Whether it waits for the server's word.
    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    /// The connection or the power is gone: what was asked for does not come.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        self.asked = self.next;
        self.ahead = Vec::new();
        self.again = 0;
        self.overdue = Instant::NEVER;
    }

    /// It goes on where it was.
    pub(super) const fn resume(&mut self) {
        self.paused = false;
    }

    /// It begins anew.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.bytes, self.block_bytes, self.blocks);
    }

    /// A block came at `now`.
    pub(super) fn take(
        &mut self,
        now: Instant,
        index: u64,
        bytes: &[u8],
        client: &UpdateClient,
    ) -> Took {
        let Ok(index) = u32::try_from(index) else {
            return Took::OutOfRange;
        };
        if index >= self.blocks {
            return Took::OutOfRange;
        }
        let is_ahead = |(held, _): &(u32, Vec<u8>)| *held == index;
        if index < self.next || index >= self.asked || self.ahead.iter().any(is_ahead) {
            return Took::Unwanted;
        }
        if bytes.len() != self.len_of(index) {
            return Took::WrongLength;
        }
        self.again = 0;
        if index == self.next {
            self.flash.write(now, bytes, client.flash_bytes_per_s);
            self.next += 1;
            self.write_ahead(now, client);
        } else {
            self.ahead.push((index, bytes.to_vec()));
        }
        self.overdue = if self.is_waiting() {
            now.after(client.block_timeout)
        } else {
            Instant::NEVER
        };
        Took::Kept
    }

    /// What is to be asked for at `now`, for the first time.
    pub(super) fn ask(&mut self, now: Instant, client: &UpdateClient) -> Vec<Run> {
        if self.paused || self.flash.free > now {
            return Vec::new();
        }
        let end = self
            .blocks
            .min(self.next.saturating_add(client.window.into()));
        if self.asked >= end {
            return Vec::new();
        }
        let runs = self.runs(self.asked, end);
        self.asked = end;
        self.overdue = now.after(client.block_timeout);
        runs
    }

    /// What is to be asked for again because it is overdue at `now`; `None` if that was done as often
    /// as it may be.
    pub(super) fn ask_again(&mut self, now: Instant, client: &UpdateClient) -> Option<Vec<Run>> {
        if self.overdue > now {
            return Some(Vec::new());
        }
        if self.again >= client.block_retries {
            return None;
        }
        self.again += 1;
        self.overdue = now.after(client.block_timeout);
        let mut held: Vec<u32> = self.ahead.iter().map(|(index, _)| *index).collect();
        held.sort_unstable();
        let mut runs = Vec::new();
        let mut first = self.next;
        for index in held.into_iter().chain([self.asked]) {
            if index > first {
                runs.extend(self.runs(first, index));
            }
            first = index + 1;
        }
        Some(runs)
    }

    /// When it wants to be looked at, while the device is online.
    pub(super) fn deadline(&self, client: &UpdateClient) -> Instant {
        if self.paused || self.is_complete() {
            return Instant::NEVER;
        }
        let end = self
            .blocks
            .min(self.next.saturating_add(client.window.into()));
        let may_ask = self.asked < end;
        let ask = if may_ask {
            self.flash.free
        } else {
            Instant::NEVER
        };
        ask.min(self.overdue)
    }

    /// When the flash has all that came, and the hash over it.
    pub(super) fn finish(&self) -> (Instant, [u8; 32]) {
        (self.flash.free, self.flash.hash.clone().finalize().into())
    }

    /// Bytes it holds on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let ahead: usize = self.ahead.iter().map(|(_, b)| b.capacity()).sum();
        ahead + self.ahead.capacity() * size_of::<(u32, Vec<u8>)>()
    }

    /// Whether anything was asked for that has not come.
    fn is_waiting(&self) -> bool {
        (self.asked - self.next) as usize > self.ahead.len()
    }

    fn write_ahead(&mut self, now: Instant, client: &UpdateClient) {
        while let Some(place) = self.ahead.iter().position(|(index, _)| *index == self.next) {
            let (_, bytes) = self.ahead.swap_remove(place);
            self.flash.write(now, &bytes, client.flash_bytes_per_s);
            self.next += 1;
        }
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
    }

    /// The bytes that block `index` must have; 0 behind the end of the image.
    fn len_of(&self, index: u32) -> usize {
        let begin = u64::from(index) * u64::from(self.block_bytes);
        let left = u64::from(self.bytes).saturating_sub(begin);
        let len = left.min(self.block_bytes.into());
        usize::try_from(len).expect("a block is at most 128 KiB")
    }

    /// Blocks `first` up to but without `end`, in requests of no more than they may have.
    fn runs(&self, first: u32, end: u32) -> Vec<Run> {
        let most = (REQUEST_BYTES_MAX / self.block_bytes).max(1);
        let starts = (first..end).step_by(most as usize);
        starts.map(|start| (start, most.min(end - start))).collect()
    }
}

/// A download as a body.
#[derive(Clone, Debug)]
pub(super) struct Body {
    flash: Flash,
    /// Of the image; `None` = as many as come.
    bytes: Option<u32>,
    /// In flash.
    got: u32,
    /// How often in a row it broke without a byte in between.
    again: u16,
    /// When to try again; never while a fetch goes on.
    pub(super) retry: Instant,
    /// A fetch goes on.
    pub(super) running: bool,
    /// It is asked for from the middle on, and nothing of that has come.
    pub(super) resuming: bool,
}

impl Body {
    /// The download of `bytes`, from the first on.
    pub(super) fn new(bytes: Option<u32>) -> Self {
        Self {
            flash: Flash::empty(),
            bytes,
            got: 0,
            again: 0,
            retry: Instant::NEVER,
            running: false,
            resuming: false,
        }
    }

    /// Bytes in flash: the resume point.
    pub(super) const fn got(&self) -> u32 {
        self.got
    }

    /// Whether all bytes are in flash, as far as is known how many there are.
    pub(super) fn is_complete(&self) -> bool {
        self.bytes == Some(self.got)
    }

    /// Bytes of the image, if that is known.
    pub(super) const fn bytes(&self) -> Option<u32> {
        self.bytes
    }

    /// It begins anew.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.bytes);
    }

    /// The next bytes came. `false` if they are more than there can be.
    pub(super) fn take(&mut self, now: Instant, bytes: &[u8], client: &UpdateClient) -> bool {
        let left = self
            .bytes
            .unwrap_or(IMAGE_BYTES_MAX)
            .saturating_sub(self.got);
        if u32::try_from(bytes.len()).is_ok_and(|len| len > left)
            || bytes.len() > IMAGE_BYTES_MAX as usize
        {
            return false;
        }
        if !bytes.is_empty() {
            self.again = 0;
        }
        self.flash.write(now, bytes, client.flash_bytes_per_s);
        self.got += u32::try_from(bytes.len()).expect("no more than are left");
        true
    }

    /// The fetch broke at `now`: it is tried again after `wait`. `false` if that was done as often as
    /// it may be.
    pub(super) fn broke(&mut self, now: Instant, wait: Duration, client: &UpdateClient) -> bool {
        self.running = false;
        if self.again >= client.block_retries {
            return false;
        }
        self.again += 1;
        self.retry = now.after(wait);
        true
    }

    /// When the flash has all that came, and the hash over it.
    pub(super) fn finish(&self) -> (Instant, [u8; 32]) {
        (self.flash.free, self.flash.hash.clone().finalize().into())
    }
}
