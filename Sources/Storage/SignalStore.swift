// SPDX-License-Identifier: Apache-2.0
// A store as the kernel sees it.

import Base

/// A store of one signal, driven by the kernel. The kernel knows bytes and parts; the store knows
/// what they mean.
///
/// **Generations.** Committed data goes to the head of the generation that its log record was
/// given. When the kernel rotates, new records get generation g + 1 while those of g are still
/// being applied; once all of them are, head g is complete and `seal(g)` turns it into parts.
/// At most two generations exist at a time. Heads and parts are read together; the switch from
/// head g to its parts in `sealed` is one atomic step for readers.
package protocol SignalStore: AnyObject, Sendable {
    var signal: Signal { get }

    /// Opens the parts that the manifest lists, before any replay. Parts that cannot be read are
    /// reported by throwing; the kernel then names them and goes on without.
    func open(_ part: PartHandle) throws

    /// A part of the manifest that does not open, here or in the kernel before: the store shows what
    /// it has and tells readers of the part's time what is missing. `replace` may remove it later.
    func missing(_ part: PartDescriptor, _ fault: PartCorruption)

    /// Applies the payload of one log record, during recovery. May be called from several
    /// threads. The live path applies batches directly and never comes here.
    ///
    /// Idempotent with respect to duplicates: the same record applied twice leaves one copy.
    func replay(
        _ payload: UnsafeRawBufferPointer, tenant: String, generation: UInt64, sequence: UInt64
    ) throws

    /// The same for many sections in the order of the log, so that a store may take several threads
    /// to them. What it makes of each series is what one after the other would.
    ///
    /// - Returns: what could not be applied, by position.
    func replay(
        _ sections: [ReplayedSection], generation: UInt64
    ) -> [(position: Int, error: any Error)]

    /// Signals other than its own whose records this store also learns from: the correlation index
    /// is filled from the records of all three, so that it never lags or leads the data.
    var observedSignals: [Signal] { get }

    /// Like `replay`, for the payload of an observed signal in the same log record.
    func observe(
        _ payload: UnsafeRawBufferPointer, from signal: Signal, tenant: String,
        generation: UInt64, sequence: UInt64
    ) throws

    /// Parts handed over by `sealed` and `replace` that did not open: faults of the disk, since the
    /// kernel wrote them a moment before.
    var openFaults: [PartCorruption] { get }

    /// Bytes of memory that heads hold now: decides when the kernel seals.
    var headBytes: Int { get }

    /// Builds the parts of head `generation`, one per (tenant, UTC day, retention class). The head
    /// stays readable. CPU-heavy; called on a background thread, never twice at once.
    func seal(generation: UInt64) throws -> [PartDraft]

    /// The parts are durable and in the manifest: show them to readers and drop the head, in one
    /// step. Called also with no parts, for an empty head.
    func sealed(generation: UInt64, parts: [PartHandle])

    /// The numbers of the configured retention rules, in their order: what `seal` and `merge` give
    /// to drafts. Called once, before `open`.
    func useRetentionClasses(_ numbers: [UInt8])

    /// Merges parts of one tenant, day and retention class into one draft, dropping duplicates and
    /// what the parts' deletions cover. Empty when nothing is left. A single part is rewritten so to
    /// get rid of its deletions. Rows whose rules have changed since they were sealed get a draft of
    /// their class of today.
    ///
    /// - Parameter shouldStop: polled about every 10 ms of work; true = throw `CancellationError`.
    func merge(_ parts: [PartHandle], shouldStop: () -> Bool) throws -> [PartDraft]

    /// What a part adds to `maxMergeWeight`; its rows unless the store says otherwise.
    func mergeWeight(_ part: PartDescriptor) -> Int
    /// Most weight of a merge's inputs together: what memory while merging goes by.
    var maxMergeWeight: Int { get }
    /// Largest sum of a merge's inputs, in bytes, besides the kernel's own limit: memory while merging
    /// goes by it where the output is put together there.
    var maxMergedBytes: Int { get }

    /// Merges like `merge`, and keeps one bucket of figures per row and `resolutionMillis`, which
    /// divides a day, instead of all its samples.
    func downsample(
        _ parts: [PartHandle], resolutionMillis: Int64, shouldStop: () -> Bool
    ) throws -> [PartDraft]

    /// Length of the buckets of a part, 0 = none; nil where the store has no such thing.
    func resolutionMillis(_ part: PartHandle) throws -> Int64?

    /// A merge, retention or a deletion changed the set of parts: switch readers over in one step. A
    /// part whose deletions changed is in both lists, with the same reader.
    func replace(removed: [UInt64], added: [PartHandle])

    /// Everything that is wrong inside one part beyond section checksums: for `check data`.
    func verify(_ part: PartHandle) -> [PartCorruption]
}

/// A section of a log record during recovery.
package struct ReplayedSection: Sendable {
    /// The record's plain payload, and the section's place in it.
    package var record: [UInt8]
    package var range: Range<Int>
    package var tenant: String
    package var sequence: UInt64

    package init(record: [UInt8], range: Range<Int>, tenant: String, sequence: UInt64) {
        self.record = record
        self.range = range
        self.tenant = tenant
        self.sequence = sequence
    }

    /// Calls `body` with the section's bytes.
    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try record.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
}

extension SignalStore {
    package func replay(
        _ sections: [ReplayedSection], generation: UInt64
    ) -> [(position: Int, error: any Error)] {
        var failed: [(position: Int, error: any Error)] = []
        for (position, section) in sections.enumerated() {
            do {
                try section.withBytes {
                    try replay(
                        $0, tenant: section.tenant, generation: generation,
                        sequence: section.sequence)
                }
            } catch {
                failed.append((position, error))
            }
        }
        return failed
    }
    package func mergeWeight(_ part: PartDescriptor) -> Int { Int(clamping: part.rowCount) }
    package var maxMergeWeight: Int { .max }
    package var maxMergedBytes: Int { .max }
    package func missing(_ part: PartDescriptor, _ fault: PartCorruption) {}
    package func useRetentionClasses(_ numbers: [UInt8]) {}
    package func resolutionMillis(_ part: PartHandle) throws -> Int64? { nil }
    package func downsample(
        _ parts: [PartHandle], resolutionMillis: Int64, shouldStop: () -> Bool
    ) throws -> [PartDraft] {
        throw KernelError.store(signal: signal, problem: "cannot be down-sampled")
    }
    package var observedSignals: [Signal] { [] }
    package func observe(
        _ payload: UnsafeRawBufferPointer, from signal: Signal, tenant: String,
        generation: UInt64, sequence: UInt64
    ) throws {}
    package func verify(_ part: PartHandle) -> [PartCorruption] { part.reader.verify() }
}
