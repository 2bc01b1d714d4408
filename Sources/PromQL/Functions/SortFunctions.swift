// SPDX-License-Identifier: Apache-2.0
// `sort`, `sort_desc`, `sort_by_label` and `sort_by_label_desc`.

import Telemetry

/// Orders the samples of an instant query; a range query is ordered by labels anyway.
final class SortOperator: VectorOperator {
    private let input: any VectorOperator
    private let precedes: (Element, Element) -> Bool
    private let keepsHistograms: Bool
    private let scope: EvaluationScope
    private var sorted: [Element] = []
    private var next = 0

    struct Element {
        var series: OutputSeries
        var column: StepColumn
        var value: Double { column.values[0] }
    }

    init(
        _ input: any VectorOperator, keepsHistograms: Bool, scope: EvaluationScope,
        by precedes: @escaping (Element, Element) -> Bool
    ) {
        self.input = input
        self.keepsHistograms = keepsHistograms
        self.scope = scope
        self.precedes = precedes
    }

    func series() throws -> [OutputSeries] {
        for series in try input.series() {
            try scope.context.check()
            var column = StepColumn(steps: 1)
            try input.next(into: &column)
            if column.kinds[0] == .float || keepsHistograms && column.kinds[0] == .histogram {
                sorted.append(Element(series: series, column: column))
            }
        }
        try scope.context.sort(&sorted, by: precedes)
        return sorted.map(\.series)
    }

    func next(into column: inout StepColumn) {
        column = sorted[next].column
        next += 1
    }
}

extension Evaluator {
    func sort(_ node: Call, _ grid: StepGrid) throws -> any VectorOperator {
        let input = try vector(node.arguments[0], grid)
        let byLabel = node.name.hasPrefix("sort_by_label")
        guard grid.count == 1 else {
            scope.annotations.warn(
                "sort is ineffective for range queries since results are always ordered by "
                    + "labels", at: node.range)
            if byLabel { return input }
            // Histograms have no order and fall out here too.
            return MapOperator(input, scope: scope, renames: false) { column in
                for step in column.kinds.indices where column.kinds[step] == .histogram {
                    column.remove(step)
                }
            }
        }
        let descends = node.name.hasSuffix("_desc")
        guard byLabel else {
            return SortOperator(input, keepsHistograms: false, scope: scope) { a, b in
                // NaN comes last either way.
                if a.value.isNaN { return false }
                if b.value.isNaN { return true }
                return descends ? a.value > b.value : a.value < b.value
            }
        }
        let names = node.arguments.dropFirst().map(string)
        return SortOperator(input, keepsHistograms: true, scope: scope) { a, b in
            for name in names {
                let x = a.series.labels[name] ?? "", y = b.series.labels[name] ?? ""
                if x == y { continue }
                return naturallyPrecedes(x, y) != descends
            }
            return descends
                ? b.series.labels < a.series.labels : a.series.labels < b.series.labels
        }
    }
}

/// Order of texts in which runs of digits compare as numbers: `node2` before `node10`.
func naturallyPrecedes(_ a: String, _ b: String) -> Bool {
    let x = Array(a.utf8), y = Array(b.utf8)
    var i = 0, j = 0
    while i < x.count, j < y.count {
        if isDigit(x[i]), isDigit(y[j]) {
            func run(_ bytes: [UInt8], _ start: Int) -> (ArraySlice<UInt8>, Int) {
                var end = start
                while end < bytes.count, isDigit(bytes[end]) { end += 1 }
                return (bytes[start..<end].drop { $0 == UInt8(ascii: "0") }, end)
            }
            let (first, nextI) = run(x, i), (second, nextJ) = run(y, j)
            if first.count != second.count { return first.count < second.count }
            if !first.elementsEqual(second) { return first.lexicographicallyPrecedes(second) }
            if nextI - i != nextJ - j { return nextI - i < nextJ - j }
            i = nextI
            j = nextJ
            continue
        }
        if x[i] != y[j] { return x[i] < y[j] }
        i += 1
        j += 1
    }
    return x.count - i < y.count - j
}
