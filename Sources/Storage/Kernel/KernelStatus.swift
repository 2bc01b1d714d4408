// SPDX-License-Identifier: Apache-2.0
// What can be seen of the kernel from outside.

/// What replaying the log at opening came to.
package struct ReplayReport: Sendable, Equatable {
    package var segments = 0
    package var bytes = 0
    package var records = 0
    /// Records dropped because they never were acknowledged where they stood, after a failed sync.
    package var superseded = 0
    /// A tail that was never acknowledged and was cut off.
    package var tornTail: StorageFault?
    /// The same in the manifest.
    package var tornManifest: StorageFault?
    package var nanos: Int64 = 0
}

/// How far replay has come: how much of the log that was there at opening is in the heads.
package struct ReplayProgress: Sendable, Equatable {
    /// Bytes of the log that are done, and in all. The total does not change during one replay.
    package var bytesDone: Int
    package var bytes: Int
    package var segmentsDone: Int
    package var segments: Int
    /// Records applied so far; those that are in parts already do not count.
    package var records: Int

    package init(
        bytesDone: Int = 0, bytes: Int = 0, segmentsDone: Int = 0, segments: Int = 0,
        records: Int = 0
    ) {
        self.bytesDone = bytesDone
        self.bytes = bytes
        self.segmentsDone = segmentsDone
        self.segments = segments
        self.records = records
    }
}

/// Parts of one signal.
package struct PartTotals: Sendable, Equatable {
    package var count = 0
    package var bytes = 0
    package var rows = 0
}

/// A snapshot for `/ready`, `/metrics` and `tern inspect`.
package struct KernelStatus: Sendable {
    package var replay: ReplayReport
    /// What was found damaged since opening, at opening in the first place.
    package var faults: [StorageFault]
    package var logBytes: Int
    package var segmentCount: Int
    /// Estimated seconds of replaying what is not in parts.
    package var replaySeconds: Double
    package var parts: [Signal: PartTotals]
    package var headBytes: Int
    /// Why commits are refused; nil while they are taken.
    package var refusal: String?
    package var writable: Bool { refusal == nil }
    package var log: LogCounters
    package var generation: UInt64
    package var nextSequence: UInt64
    /// First log sequence that is not in parts.
    package var covered: UInt64
    package var epoch: UInt64
    package var work: KernelCounters
}

/// Background work since opening.
package struct KernelCounters: Sendable, Equatable {
    package var seals = 0
    package var failedSeals = 0
    package var partsSealed = 0
    package var merges = 0
    package var failedMerges = 0
    package var partsMerged = 0
    package var bytesMerged = 0
    /// Rows that sealing and merging left out, because an older row is the same, or has their place
    /// with another value. Readers never saw them; the heads could not know the older ones.
    package var duplicatesDropped: [Signal: Int] = [:]
    package var conflictsDropped: [Signal: Int] = [:]
    package var partsExpired = 0
    /// Parts that were rewritten with buckets in place of samples.
    package var partsDownsampled = 0
    /// Deletions that covered something.
    package var deletions = 0
    /// The newest failure of background work, with what it was doing.
    package var lastFailure: String?
    package init() {}

    mutating func countDropped(_ signal: Signal, _ drafts: [PartDraft]) {
        let duplicates = drafts.reduce(0) { $0 + $1.duplicates }
        let conflicts = drafts.reduce(0) { $0 + $1.conflicts }
        if duplicates > 0 { duplicatesDropped[signal, default: 0] += duplicates }
        if conflicts > 0 { conflictsDropped[signal, default: 0] += conflicts }
    }
}
