// SPDX-License-Identifier: Apache-2.0
// The ledger's arithmetic: what the crash loop would call a loss.

import TestKit
import Testing

@Suite struct BatchLedgerTests {
    private func ledger() -> BatchLedger {
        var ledger = BatchLedger()
        for _ in 0..<3 { _ = ledger.beginNext() }
        ledger.acknowledge(0, items: 10)
        ledger.acknowledge(2, items: 30)
        // Twice, or never sent: counts for nothing.
        ledger.acknowledge(2, items: 30)
        ledger.acknowledge(9, items: 1)
        return ledger
    }

    @Test func countsWhatWasAcknowledged() {
        #expect(ledger().end == 3)
        #expect(ledger().acknowledgedBatches == 2)
        #expect(ledger().acknowledgedItems == 40)
        #expect(ledger()[1] == .sent)
        #expect(ledger()[9] == .unsent)
    }

    @Test func anAcknowledgedBatchMustBeWhole() {
        #expect(ledger().judge(0, expected: 10, found: 10).isSound)
        #expect(ledger().judge(0, expected: 10, found: 9).lost == 1)
        #expect(ledger().judge(0, expected: 10, found: 0).lost == 10)
    }

    @Test func anUnansweredBatchIsThereWholeOrNotAtAll() {
        #expect(ledger().judge(1, expected: 20, found: 0).isSound)
        let whole = ledger().judge(1, expected: 20, found: 20)
        #expect(whole.isSound && whole.unacknowledgedPresent == 1)
        #expect(ledger().judge(1, expected: 20, found: 7).torn == 1)
    }

    @Test func whatWasNotSentMustNotBeThere() {
        #expect(ledger().judge(3, expected: 20, found: 20).phantom == 20)
        #expect(ledger().judge(0, expected: 10, found: 10, surplus: 2).phantom == 2)
    }

    @Test func verdictsAddUp() {
        var sum = ledger().judge(0, expected: 10, found: 9)
        sum.add(ledger().judge(1, expected: 20, found: 7))
        #expect(sum.lost == 1 && sum.torn == 1 && sum.present == 16)
        #expect(!sum.isSound)
    }
}
