// SPDX-License-Identifier: Apache-2.0
// Frames that a search is about to need.

import Base
import Glibc
import Storage

extension LogPart {
    /// Frames below this come with one read anyhow.
    private static let leastBytes = 128 << 10

    /// Asks the kernel to read the filter of all ids, if a search for these terms will look at it.
    /// Asked of all parts before the first is searched, so that a cold disk works for all of them at
    /// once. A hint: what does not succeed is read when it is needed.
    func prefetch(_ terms: SearchTerms, _ conditions: RowConditions) {
        let hasIDs = !terms.ids.isEmpty || !conditions.terms.ids.isEmpty
        guard hasIDs, search.allIDs.place.count > 0 else { return }
        let stored = storedRange(of: search.allIDs.place.frame)
        guard stored.count >= LogPart.leastBytes, let base = reader.bytes.buffer.baseAddress else {
            return
        }
        let page = Int(getpagesize())
        let first = Int(bitPattern: base) + stored.lowerBound
        let start = first / page * page
        guard let address = UnsafeMutableRawPointer(bitPattern: start) else { return }
        madvise(address, first + stored.count - start, MADV_WILLNEED)
    }
}
