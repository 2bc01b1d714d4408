// SPDX-License-Identifier: Apache-2.0
// Sorting within the limits of a query.

extension ReadContext {
    /// Comparisons between two looks at the limits.
    private static var comparisonsPerCheck: Int { 4096 }

    /// Sorts elements, and ends when the query is to end: comparing labels of 100,000 series takes
    /// longer than a client should wait for that.
    ///
    /// - Throws: `QueryInterruption`, with the elements in any order, and what `precedes` throws.
    package func sort<Element>(
        _ elements: inout [Element], by precedes: (Element, Element) throws -> Bool
    ) throws {
        var comparisons = 0
        try elements.sort { a, b in
            comparisons &+= 1
            if comparisons % ReadContext.comparisonsPerCheck == 0 { try check() }
            return try precedes(a, b)
        }
    }

    /// Whether `check` would throw, for loops that cannot throw themselves.
    package var isInterrupted: Bool {
        do throws(QueryInterruption) {
            try check()
            return false
        } catch {
            return true
        }
    }
}
