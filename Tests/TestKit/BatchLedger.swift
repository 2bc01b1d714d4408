// SPDX-License-Identifier: Apache-2.0
// What was sent, what was acknowledged, and what of it should be there.

/// The other side's memory of writes, kept where a crash of the server cannot reach it.
///
/// Batches have numbers from 0. A batch that was acknowledged must be there whole; one that was sent
/// and not answered may be there whole or not at all; one that was never sent must not be there.
package struct BatchLedger: Sendable {
    package enum State: UInt8, Sendable { case unsent, sent, acknowledged }
    private var states: [State] = []

    package init() {}

    /// One more than the highest number that was sent.
    package var end: Int { states.count }
    package private(set) var acknowledgedBatches = 0
    package private(set) var acknowledgedItems = 0

    package subscript(batch: Int) -> State {
        states.indices.contains(batch) ? states[batch] : .unsent
    }

    /// Takes the next number; the batch counts as sent from here on.
    package mutating func beginNext() -> Int {
        states.append(.sent)
        return states.count - 1
    }

    package mutating func acknowledge(_ batch: Int, items: Int) {
        guard self[batch] == .sent else { return }
        states[batch] = .acknowledged
        acknowledgedBatches += 1
        acknowledgedItems += items
    }

    /// Judges how many items of a batch of `expected` were found, each once, besides `surplus` that
    /// were found again or differ from what was sent.
    package func judge(
        _ batch: Int, expected: Int, found: Int, surplus: Int = 0
    ) -> LedgerVerdict {
        var verdict = LedgerVerdict()
        verdict.phantom = surplus
        switch self[batch] {
        case .unsent: verdict.phantom += found
        case .acknowledged:
            verdict.lost = expected - found
            verdict.present = found
        case .sent:
            if found > 0, found < expected { verdict.torn = 1 }
            verdict.present = found
            verdict.unacknowledgedPresent = found == expected ? 1 : 0
        }
        return verdict
    }
}

/// What a judgement found wrong, and how much is right.
package struct LedgerVerdict: Sendable, Equatable {
    /// Acknowledged items that are not there.
    package var lost = 0
    /// Items that are there and were never sent, or more than once, or changed.
    package var phantom = 0
    /// Unacknowledged batches of which a part is there.
    package var torn = 0
    /// Items that are there and should or may be.
    package var present = 0
    /// Unacknowledged batches that are there whole.
    package var unacknowledgedPresent = 0

    package init() {}

    package var isSound: Bool { lost == 0 && phantom == 0 && torn == 0 }

    package mutating func add(_ other: LedgerVerdict) {
        lost += other.lost
        phantom += other.phantom
        torn += other.torn
        present += other.present
        unacknowledgedPresent += other.unacknowledgedPresent
    }
}
