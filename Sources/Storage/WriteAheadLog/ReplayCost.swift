// SPDX-License-Identifier: Apache-2.0
// How long the log that is not in parts would take to replay.

/// An estimate of replay time, from the bytes of each signal in the log. It decides when heads are
/// sealed, so that a restart after a kill is quick whatever the load was: a byte of spans costs
/// three times a byte of lines.
enum ReplayCost {
    /// Nanoseconds of one core per stored byte, with all stores and the correlation index attached;
    /// measured by `ReplayMeasurements` (docs/formats/write-ahead-log.md, "Replay").
    static func nanosPerByte(_ signal: Signal) -> Double {
        switch signal {
        case .metrics: 13
        case .logs: 21
        case .traces: 60
        case .correlation: 0
        }
    }

    /// Nanoseconds of one core per byte that heads hold. Of metrics, the log's bytes say what samples
    /// of known series cost, and the growth of heads how many series are new: each of them costs
    /// four samples and is some 350 bytes. Measured by `ingestbench`.
    static func nanosPerHeadByte(_ signal: Signal) -> Double { signal == .metrics ? 4.5 : 0 }

    /// Nanoseconds for a record of `storedCount` bytes, whose sections share them by their size.
    static func nanos(_ sections: [CommitSection], storedCount: Int) -> Int64 {
        let plain = sections.reduce(0.0) { $0 + Double($1.count) }
        guard plain > 0 else { return 0 }
        let weighted = sections.reduce(0.0) {
            $0 + Double($1.count) * nanosPerByte($1.signal)
        }
        return Int64(weighted / plain * Double(storedCount))
    }
}
