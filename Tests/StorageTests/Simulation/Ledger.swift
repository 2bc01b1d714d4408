// SPDX-License-Identifier: Apache-2.0
// What was promised to clients, kept outside of the kernel.

/// One batch of the workload: all its rows are in one commit.
struct LedgerBatch: Sendable {
    enum Fate: Sendable {
        /// Its commit returned, or it was seen after a restart.
        case acknowledged
        /// Its commit was refused or interrupted: a restart may find it, whole.
        case uncertain
    }
    var rows: [ToyStore.Row]
    var fate: Fate
    /// Retention has covered it: it may be gone.
    var isExpired = false
}

/// All batches of a simulated life.
struct Ledger: Sendable {
    private(set) var batches: [LedgerBatch] = []
    private(set) var nextKey: UInt64 = 1

    mutating func attempt(_ rows: [ToyStore.Row]) -> Int {
        batches.append(LedgerBatch(rows: rows, fate: .uncertain))
        return batches.count - 1
    }
    mutating func acknowledge(_ index: Int) { batches[index].fate = .acknowledged }

    mutating func takeKeys(_ count: Int) -> [UInt64] {
        defer { nextKey += UInt64(count) }
        return (0..<UInt64(count)).map { nextKey + $0 }
    }

    /// Everything older may be dropped from now on.
    mutating func expire(before nanos: Int64) {
        for index in batches.indices where batches[index].rows[0].nanos < nanos {
            batches[index].isExpired = true
        }
    }

    /// What is wrong with the rows that readers see, or nil.
    ///
    /// - Parameter live: in the process that committed, refused batches must not show.
    func disagreement(with rows: [ToyStore.Row], live: Bool = false) -> String? {
        var seen: [UInt64: ToyStore.Row] = [:]
        for row in rows where seen.updateValue(row, forKey: row.key) != nil {
            return "key \(row.key) is there twice"
        }
        var known = 0
        for batch in batches {
            let present = batch.rows.filter { seen[$0.key] != nil }
            known += present.count
            if let wrong = present.first(where: { seen[$0.key] != $0 }) {
                return "key \(wrong.key) has other bytes"
            }
            if !present.isEmpty, present.count < batch.rows.count {
                return "of keys \(batch.rows.map(\.key)) only \(present.map(\.key)) are there"
            }
            if present.isEmpty, batch.fate == .acknowledged, !batch.isExpired {
                return "acknowledged keys \(batch.rows.map(\.key)) are lost"
            }
            if live, !present.isEmpty, batch.fate == .uncertain {
                return "refused keys \(batch.rows.map(\.key)) show"
            }
        }
        return known == seen.count ? nil : "rows are there that nobody wrote"
    }

    /// After a restart there is no uncertainty: what was found is durable, the rest is gone for
    /// good.
    mutating func settle(_ rows: [ToyStore.Row]) {
        let seen = Set(rows.map(\.key))
        batches = batches.compactMap { batch in
            var batch = batch
            guard seen.contains(batch.rows[0].key) else { return nil }
            batch.fate = .acknowledged
            return batch
        }
    }
}
