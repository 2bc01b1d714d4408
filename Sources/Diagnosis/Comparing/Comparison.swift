// SPDX-License-Identifier: Apache-2.0
// What distinguishes some spans or lines from others.

import Glibc

/// One attribute that differs between selection and baseline.
package struct AttributeDifference: Sendable, Equatable {
    package var key: AttributeRows.Key
    /// The value; nil where `range` says it.
    package var value: String?
    /// Of numbers: where the selection is denser than the baseline, both ends inside.
    package var range: ClosedRange<Double>?
    /// Part of the rows that have the value, or lie in the range.
    package var selectionShare: Double
    package var baselineShare: Double
    /// From -1 to 1: how much more frequent it is in the selection. For numbers the greatest distance
    /// of the two distributions.
    package var effect: Double
    /// Rows of the selection that have it.
    package var support: Int
    /// Chance of a difference like this if there were none, corrected for the number of attributes
    /// looked at.
    package var adjustedP: Double
    /// Other attributes that are on the same rows: one of them is as good as the other.
    package var sameAs: [AttributeRows.Key] = []
}

/// Compares two sets of rows attribute by attribute.
///
/// - Values by the difference of their shares, with a test of two proportions; numbers with many
///   values by the Kolmogorov–Smirnov distance.
/// - What fewer than `leastSupport` rows show, or shows a smaller effect than `leastEffect`, is left
///   out; what is left must stand up to the number of tests (Benjamini and Hochberg 1995, false
///   discovery rate 5 %).
/// - Attributes on nearly the same rows are one difference.
package enum Comparison {
    package static let leastSupport = 5
    package static let leastEffect = 0.05
    static let falseDiscoveryRate = 0.05
    /// Numbers with so many values are compared as numbers.
    private static let numericValues = 20
    /// Rows in common, of those in either, that make two attributes one.
    private static let sameRows = 0.95

    /// Strongest first. O(rows · attributes).
    package static func differences(
        _ selection: AttributeRows, _ baseline: AttributeRows, limit: Int = 100
    ) -> [AttributeDifference] {
        guard selection.rowCount > 0, baseline.rowCount > 0 else { return [] }
        var found: [(difference: AttributeDifference, rows: [Int32])] = []
        var tests = 0
        for key in Set(selection.values.keys).union(baseline.values.keys) {
            if let numeric = numeric(key, selection, baseline) {
                tests += 1
                found.append((numeric, []))
                continue
            }
            let mine = selection.values[key] ?? [:], theirs = baseline.values[key] ?? [:]
            for value in Set(mine.keys).union(theirs.keys) {
                let rows = mine[value] ?? []
                let others = theirs[value]?.count ?? 0
                // What too few rows have on either side could not be told from chance.
                guard rows.count + others >= leastSupport else { continue }
                tests += 1
                let a = Share(hits: rows.count, total: selection.rowCount)
                let b = Share(hits: others, total: baseline.rowCount)
                found.append(
                    (
                        AttributeDifference(
                            key: key, value: value, range: nil, selectionShare: a.value,
                            baselineShare: b.value, effect: a.value - b.value,
                            support: rows.count, adjustedP: proportionsP(a, b)), rows
                    ))
            }
        }
        let kept = significant(found, tests).filter {
            abs($0.difference.effect) >= leastEffect
                && ($0.difference.support >= leastSupport || $0.difference.effect < 0)
        }
        return Array(grouped(kept.sorted(by: precedes)).prefix(limit))
    }

    private typealias Found = (difference: AttributeDifference, rows: [Int32])

    private static func precedes(_ a: Found, _ b: Found) -> Bool {
        let x = a.difference, y = b.difference
        if abs(x.effect) != abs(y.effect) { return abs(x.effect) > abs(y.effect) }
        if x.adjustedP != y.adjustedP { return x.adjustedP < y.adjustedP }
        return (x.key.origin.rawValue, x.key.name, x.value ?? "")
            < (y.key.origin.rawValue, y.key.name, y.value ?? "")
    }

    // MARK: - Tests

    /// Two-sided chance of two shares like these, from the pooled share.
    private static func proportionsP(_ a: Share, _ b: Share) -> Double {
        let pooled = (a + b).value
        let variance = pooled * (1 - pooled) * (1 / Double(a.total) + 1 / Double(b.total))
        guard variance > 0 else { return a.value == b.value ? 1 : 0 }
        return erfc(abs(a.value - b.value) / (2 * variance).squareRoot())
    }

    /// Chance of a Kolmogorov–Smirnov distance, by the asymptotic series. Source: N. Smirnov, "Table
    /// for estimating the goodness of fit of empirical distributions" (1948).
    static func smirnovP(_ distance: Double, _ n: Int, _ m: Int) -> Double {
        let size = (Double(n) * Double(m) / Double(n + m)).squareRoot()
        let x = (size + 0.12 + 0.11 / size) * distance
        guard x > 0.2 else { return 1 }
        var sum = 0.0
        for k in 1...100 {
            let term = exp(-2 * Double(k * k) * x * x)
            sum += k % 2 == 1 ? term : -term
            if term < 1e-12 { break }
        }
        return min(1, max(0, 2 * sum))
    }

    /// Those that stay below the false discovery rate, with their adjusted chances.
    private static func significant(_ found: [Found], _ tests: Int) -> [Found] {
        let order = found.indices.sorted {
            found[$0].difference.adjustedP < found[$1].difference.adjustedP
        }
        var result: [Found] = []
        var least = 1.0
        for (rank, index) in order.enumerated().reversed() {
            let p = found[index].difference.adjustedP * Double(tests) / Double(rank + 1)
            least = min(least, p)
            if least <= falseDiscoveryRate {
                var kept = found[index]
                kept.difference.adjustedP = least
                result.append(kept)
            }
        }
        return result
    }

    // MARK: - Numbers

    private static func numeric(
        _ key: AttributeRows.Key, _ selection: AttributeRows, _ baseline: AttributeRows
    ) -> AttributeDifference? {
        let a = (selection.numbers[key] ?? []).sorted()
        let b = (baseline.numbers[key] ?? []).sorted()
        guard a.count >= leastSupport, b.count >= leastSupport,
            Set(a).union(b).count >= numericValues,
            // All of the values, or it is a text that happens to be a number now and then.
            isNumeric(key, selection, a.count), isNumeric(key, baseline, b.count)
        else { return nil }
        let (distance, place, isGreater) = farthest(a, b)
        let range =
            isGreater
            ? (place.nextUp...max(place.nextUp, a.last ?? place)) : (min(place, a[0])...place)
        func share(_ values: [Double], _ rows: Int) -> Double {
            Double(values.count { range.contains($0) }) / Double(max(1, rows))
        }
        let edge = range.lowerBound
        let least = isGreater ? a.first { $0 >= edge } ?? edge : edge
        return AttributeDifference(
            key: key, value: nil, range: least...max(least, range.upperBound),
            selectionShare: share(a, a.count), baselineShare: share(b, b.count), effect: distance,
            support: a.count { range.contains($0) },
            adjustedP: smirnovP(distance, a.count, b.count))
    }

    private static func isNumeric(
        _ key: AttributeRows.Key, _ rows: AttributeRows, _ count: Int
    ) -> Bool {
        let texts = (rows.values[key] ?? [:]).filter { Double($0.key) == nil }
        return texts.reduce(0) { $0 + $1.value.count } * 20 <= count
    }

    /// Greatest distance of two distributions, up to which value it lies, and whether the first one
    /// has the greater values.
    static func farthest(_ a: [Double], _ b: [Double]) -> (Double, Double, Bool) {
        var i = 0, j = 0
        var best = (distance: 0.0, place: a.first ?? 0, isGreater: false)
        while i < a.count, j < b.count {
            let value = min(a[i], b[j])
            while i < a.count, a[i] == value { i += 1 }
            while j < b.count, b[j] == value { j += 1 }
            let difference = Double(j) / Double(b.count) - Double(i) / Double(a.count)
            if abs(difference) > best.distance {
                best = (abs(difference), value, difference > 0)
            }
        }
        return best
    }

    // MARK: - Groups

    /// Joins differences on the same rows to the first of them.
    private static func grouped(_ sorted: [Found]) -> [AttributeDifference] {
        var result: [Found] = []
        for found in sorted {
            let same = result.firstIndex { known in
                found.difference.range == nil && known.difference.range == nil
                    && found.difference.key != known.difference.key
                    && (found.difference.effect > 0) == (known.difference.effect > 0)
                    && areSame(found.rows, known.rows)
            }
            if let same {
                result[same].difference.sameAs.append(found.difference.key)
            } else {
                result.append(found)
            }
        }
        return result.map(\.difference)
    }

    private static func areSame(_ a: [Int32], _ b: [Int32]) -> Bool {
        guard !a.isEmpty, !b.isEmpty else { return false }
        let smaller = Double(min(a.count, b.count)), larger = Double(max(a.count, b.count))
        if smaller / larger < sameRows { return false }
        var i = 0, j = 0, common = 0
        while i < a.count, j < b.count {
            if a[i] == b[j] {
                common += 1
                i += 1
                j += 1
            } else if a[i] < b[j] {
                i += 1
            } else {
                j += 1
            }
        }
        return Double(common) >= sameRows * Double(a.count + b.count - common)
    }
}
