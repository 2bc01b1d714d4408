// SPDX-License-Identifier: Apache-2.0
// The loops over floats against the window-by-window evaluation, bit for bit.

import Base
import Telemetry
import TestKit
import Testing

@testable import PromQL

/// Values of one kind: what each loop treats apart.
private func value(_ kind: Int, _ random: inout SplitMix64, _ previous: Double) -> Double {
    let noise = random.next()
    switch kind {
    case 0: return noise % 9 == 0 ? Double(noise % 5) : previous + Double(noise % 50)
    case 1: return previous + Double(noise % 1000) / 7
    case 2: return Double(Int64(noise % 2001) - 1000) / 3
    case 3: return noise % 4 == 0 ? previous : Double(noise % 3)
    case 4: return [.nan, .infinity, -.infinity, -0.0, 0, 1e308, -1e308][Int(noise % 7)]
    default: return noise % 6 == 0 ? StaleMarker.value : Double(noise % 100) - 0.5
    }
}

@Test func loopsOverFloatsGiveTheSameBitsAsWindows() throws {
    var random = SplitMix64(seed: 5)
    // With a start time, which nobody asks for, the same samples take the other way.
    var plain = InMemorySeries(), started = InMemorySeries()
    for number in 0..<60 {
        let labels = Labels([("__name__", "x_total"), ("n", "\(number)")])
        var a = SampleColumns(), b = SampleColumns()
        var millis: Int64 = 0, last = 0.0
        for _ in 0..<80 {
            // Some are sampled as evenly as the query steps.
            millis +=
                number % 4 == 0
                ? 11_000 : Int64(random.next() % 3) * 7_000 + 8_000 + Int64(random.next() % 9)
            last = value(number % 6, &random, last.isFinite ? last : 0)
            a.append(millis: millis, value: last)
            b.append(millis: millis, value: last, startMillis: 1)
        }
        plain.append(labels, a)
        started.append(labels, b)
    }
    let functions = [
        "rate", "increase", "delta", "irate", "idelta", "changes", "resets", "avg_over_time",
        "sum_over_time", "count_over_time", "min_over_time", "max_over_time", "first_over_time",
        "last_over_time", "present_over_time", "stddev_over_time", "stdvar_over_time",
        "ts_of_first_over_time", "ts_of_last_over_time",
        "deriv", "predict_linear",
    ]
    var options = PromQLOptions()
    options.parser.experimentalFunctions = true
    var faults: [String] = []
    var compared = 0
    for function in functions {
        let more = function == "predict_linear" ? ", 90" : ""
        for range in ["20s", "1m", "5m"] {
            func answer(_ store: InMemorySeries) throws -> [MatrixSeries] {
                let result = try PromQLEngine(reader: store, options: options).queryRange(
                    "\(function)(x_total[\(range)] offset 3s\(more))", start: Millis(-5_000),
                    end: Millis(1_300_000), stepMillis: 11_000, context: ReadContext())
                guard case .matrix(let series) = result.value else { return [] }
                return series
            }
            let fast = try answer(plain), slow = try answer(started)
            let isSame =
                fast.map(\.labels) == slow.map(\.labels)
                && zip(fast, slow).allSatisfy { a, b in
                    a.floatMillis == b.floatMillis
                        && a.floats.map(\.bitPattern) == b.floats.map(\.bitPattern)
                }
            if !isSame { faults.append("\(function) over \(range)") }
            compared += fast.reduce(0) { $0 + $1.floats.count }
        }
    }
    #expect(compared > 100_000)
    #expect(faults.isEmpty, "\(faults)")
}
