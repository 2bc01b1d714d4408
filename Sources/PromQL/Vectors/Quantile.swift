// SPDX-License-Identifier: Apache-2.0
// The φ-quantile of plain values.

/// The quantile by linear interpolation between ranks; NaN without values, infinities outside 0…1.
/// Sorts `values`. Source: prometheus/prometheus `promql/quantile.go`, `quantile`.
package func quantile(_ q: Double, of values: inout [Double]) -> Double {
    if values.isEmpty || q.isNaN { return .nan }
    if q < 0 { return -.infinity }
    if q > 1 { return .infinity }
    values.sort { a, b in a.isNaN ? !b.isNaN : a < b }
    let n = Double(values.count)
    let rank = q * (n - 1)
    let lower = max(0, rank.rounded(.down))
    let upper = min(n - 1, lower + 1)
    let weight = rank - rank.rounded(.down)
    return values[Int(lower)] * (1 - weight) + values[Int(upper)] * weight
}
