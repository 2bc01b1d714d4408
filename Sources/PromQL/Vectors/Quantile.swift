// SPDX-License-Identifier: Apache-2.0
// The φ-quantile of plain values.

/// The quantile by linear interpolation between ranks; NaN without values, infinities outside 0…1.
/// Reorders `values`; costs a few passes over them. Source: prometheus/prometheus `promql/quantile.go`, `quantile`.
package func interpolatedQuantile(_ q: Double, of values: inout [Double]) -> Double {
    if values.isEmpty || q.isNaN { return .nan }
    if q < 0 { return -.infinity }
    if q > 1 { return .infinity }
    let n = Double(values.count)
    let rank = q * (n - 1)
    let lower = max(0, rank.rounded(.down))
    let weight = rank - rank.rounded(.down)
    return values.withUnsafeMutableBufferPointer { values in
        // NaN comes before all numbers.
        var start = 0
        for i in 0..<values.count where values[i].isNaN {
            values.swapAt(i, start)
            start += 1
        }
        let index = Int(lower)
        let below = select(index, from: start, of: values)
        let above =
            index + 1 < values.count ? select(index + 1, from: start, of: values) : below
        return below * (1 - weight) + above * weight
    }
}

/// The value that would stand at `index` if `values` were sorted from `start` on; smaller ones stand
/// before it afterwards, larger ones after it.
private func select(
    _ index: Int, from start: Int, of values: UnsafeMutableBufferPointer<Double>
) -> Double {
    if index < start { return values[index] }
    var low = start, high = values.count - 1
    while low < high {
        // The middle of three as pivot, so that sorted values are no worst case.
        let middle = low + (high - low) / 2
        let pivot = max(
            min(values[low], values[middle]), min(max(values[low], values[middle]), values[high]))
        var i = low, j = high
        while i <= j {
            while values[i] < pivot { i += 1 }
            while values[j] > pivot { j -= 1 }
            if i <= j {
                values.swapAt(i, j)
                i += 1
                j -= 1
            }
        }
        if index <= j {
            high = j
        } else if index >= i {
            low = i
        } else {
            break
        }
    }
    return values[index]
}
