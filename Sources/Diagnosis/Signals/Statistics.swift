// SPDX-License-Identifier: Apache-2.0
// Small statistics that hold with few observations.

import Glibc

/// So many of so many.
struct Share: Sendable, Equatable {
    var hits = 0
    var total = 0

    var value: Double { total == 0 ? 0 : Double(hits) / Double(total) }

    static func + (a: Share, b: Share) -> Share {
        Share(hits: a.hits + b.hits, total: a.total + b.total)
    }

    /// The same share of fewer: what so many observations are worth that come in clusters, of which only
    /// one in each tells something new.
    func clustered(_ clusters: Int, of observations: Int) -> Share {
        guard clusters < observations, total > 0 else { return self }
        let worth = max(1, (Double(total) * Double(clusters) / Double(observations)).rounded(.up))
        return Share(hits: Int((value * worth).rounded()), total: Int(worth))
    }

    /// Wilson's interval. Source: E. B. Wilson, "Probable inference, the law of succession, and
    /// statistical inference" (1927).
    ///
    /// - Parameter z: normal quantile of the confidence, 1.645 for 95 % on one side.
    func interval(_ z: Double = 1.645) -> ClosedRange<Double> {
        guard total > 0 else { return 0...1 }
        let n = Double(total), p = value
        let centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        return max(0, centre - half)...min(1, centre + half)
    }

    /// A lower bound of how much larger this share is than another, at least 0. Source: R. G.
    /// Newcombe, "Interval estimation for the difference between independent proportions" (1998),
    /// method 10.
    func excess(over other: Share, _ z: Double = 1.645) -> Double {
        guard total > 0, other.total > 0 else { return 0 }
        let mine = interval(z), theirs = other.interval(z)
        let low = value - mine.lowerBound, high = theirs.upperBound - other.value
        return max(0, value - other.value - (low * low + high * high).squareRoot())
    }

    /// The same for how much smaller it is.
    func shortfall(under other: Share, _ z: Double = 1.645) -> Double {
        other.excess(over: self, z)
    }
}

/// The value below which a part of ascending values lies; 0 of none.
func quantile(_ sorted: [Double], _ part: Double) -> Double {
    guard let last = sorted.last else { return 0 }
    let place = part * Double(sorted.count - 1)
    let low = Int(place)
    guard low + 1 < sorted.count else { return last }
    return sorted[low] + (place - Double(low)) * (sorted[low + 1] - sorted[low])
}

/// The chance that one of several independent reasons holds.
func either(_ a: Double, _ b: Double) -> Double { 1 - (1 - a) * (1 - b) }
