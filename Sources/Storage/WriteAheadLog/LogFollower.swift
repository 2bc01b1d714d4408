// SPDX-License-Identifier: Apache-2.0
// Whoever has to see every record of the log, beside the stores.

/// Someone who passes on what is committed and keeps it in a place of its own: the queue of what is
/// forwarded to other servers. On the live path it is handed batches by whoever commits them,
/// before `Kernel.applied`.
package protocol LogFollower: Sendable {
    /// A section of a record that is not in parts yet, during recovery, in the order of the log.
    /// Blocks. What was durable here before the stop comes again and is the follower's to leave out.
    func replay(
        _ payload: UnsafeRawBufferPointer, signal: Signal, tenant: String, sequence: UInt64)

    /// Every record below `boundary` was handed over, and the log is about to forget them: makes
    /// them durable. Blocks.
    ///
    /// - Throws: what stood in the way; the log keeps its records then, and asks again.
    func makeDurable(below boundary: UInt64) throws
}
