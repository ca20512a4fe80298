//! Foresight: brings the memory that the next events need into the cache. A large fleet lies in main
//! memory, and each event waits for a dozen cache lines, one after the other; looked at ahead, for
//! many events at once, they come side by side. Nothing depends on what is read here.

use super::world::World;

/// Steps from pointer to pointer that are looked at in a node.
const DEPTH: u8 = 3;

impl World {
    /// Looks at what the next events need, step by step: what an address leads to is looked at when
    /// the address itself has come for all of them.
    pub(super) fn look_ahead(&mut self) {
        self.queue.foretell(&mut self.foretold);
        if self.foretold.is_empty() {
            return;
        }
        let first = self.actor_of_device(0);
        self.foretold
            .retain(|&actor| actor >= first && !self.devices.is_empty());
        let mut seen = 0;
        for &actor in &self.foretold {
            let id = actor - first;
            let client = &self.devices[id as usize];
            seen ^= client.device.glance() ^ client.glance() ^ self.queue.port(actor).glance();
            seen ^= self.books.glance(id, 0);
        }
        for &actor in &self.foretold {
            let id = actor - first;
            seen ^= self.devices[id as usize].device.glance_at_streams();
            seen ^= self.books.glance(id, 1);
        }
        for depth in 0..DEPTH {
            for &actor in &self.foretold {
                let port = self.queue.port(actor);
                if let Some(conn) = port.current(actor) {
                    let node = &self.nodes[usize::from(port.node)];
                    seen ^= node.backend.glance(conn, depth);
                }
            }
        }
        std::hint::black_box(seen);
    }
}
