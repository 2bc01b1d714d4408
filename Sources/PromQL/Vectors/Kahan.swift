// SPDX-License-Identifier: Apache-2.0
// Sums that do not lose small terms.

/// Adds with Neumaier's compensation. Source: prometheus/prometheus `util/kahansum`.
@inline(__always)
func compensatedAdd(_ term: Double, to sum: inout Double, _ compensation: inout Double) {
    let total = sum + term
    if total.isInfinite {
        compensation = 0
    } else if sum.magnitude >= term.magnitude {
        compensation += (sum - total) + term
    } else {
        compensation += (term - total) + sum
    }
    sum = total
}
