// SPDX-License-Identifier: Apache-2.0
// Figures of the store, printed on demand: TERN_MEASURE=1 and a release build.

import Base
import FoundationEssentials
import Glibc
import Storage
import Telemetry
import Testing

@testable import MetricStore

/// Scrapes of a machine's exporter: mostly constants, counters in units and in hundredths of
/// seconds, pages of memory, a few noisy gauges; timestamps jitter by a few milliseconds.
private struct ExporterLikeScrapes {
    var random = SplitMix64(seed: 77)
    let labels: [Labels]
    var values: [Double]

    init(series: Int) {
        labels = (0..<series).map { i in
            Labels([
                ("__name__", "node_family_\(i / 12)_total"), ("instance", "10.0.0.\(i % 4):9100"),
                ("job", "node"), ("device", "dev\(i % 12)"), ("mode", "mode\(i % 7)"),
            ])
        }
        values = (0..<series).map { Double($0 * 1000) }
    }

    mutating func next(_ millis: Int64) -> MetricBatch {
        var batch = MetricBatch()
        for i in labels.indices {
            let noise = random.next()
            switch i % 20 {
            case 0..<9: break
            case 9..<13: values[i] += Double(noise % 50)
            case 13..<16: values[i] = ((values[i] * 100).rounded() + Double(noise % 1500)) / 100
            case 16..<18: values[i] += (Double(noise % 64) - 32) * 4096
            case 18: values[i] += noise % 10 == 0 ? 1 : 0
            default: values[i] = Double(noise >> 11) / 9_007_199_254_740_992 * 3
            }
            batch.addSample(series: batch.addSeries(labels[i]), millis: millis, value: values[i])
        }
        return batch
    }
}

@Test(.enabled(if: ProcessInfo.processInfo.environment["TERN_MEASURE"] != nil))
func measureAppendingSealingAndReading() throws {
    // Processor time of this thread: the machine may be busy with other things.
    func seconds(_ body: () throws -> Void) rethrows -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        let start = now()
        try body()
        return now() - start
    }
    func report(_ what: String, _ value: Double, _ unit: String) {
        print("\(what): \((value * 100).rounded() / 100) \(unit)")
    }
    let series = 4000
    let scrapes = 240
    var source = ExporterLikeScrapes(series: series)
    let harness = StoreHarness()
    let batches = (0..<scrapes).map {
        source.next(1_768_514_400_000 + Int64($0) * 15_000 + Int64($0 * 7 % 5))
    }
    let samples = Double(series * scrapes)
    harness.append(batches[0])
    report(
        "append",
        seconds { for b in batches.dropFirst() { harness.append(b) } } * 1e9 / samples,
        "ns/sample")
    report(
        "admit",
        seconds {
            for b in batches.suffix(40) {
                _ = harness.store.admit(
                    b, tenant: .anonymous, now: Millis(.max / 2), oldest: .min)
            }
        } * 1e9 / Double(series * 40), "ns/sample, all of it duplicates")
    report("head", Double(harness.store.headBytes) / Double(series), "bytes/series")
    func readAll(_ name: String, _ store: MetricStore) throws {
        let context = ReadContext()
        let request = SeriesRequest(tenant: .anonymous, matchers: [], range: .all)
        var set: (any SeriesSet)?
        report(
            "select \(name)",
            try seconds { set = try store.select(request, context) } * 1e9 / Double(series),
            "ns/series")
        var columns = SampleColumns()
        report(
            "read \(name)",
            try seconds {
                for i in 0..<(set?.count ?? 0) {
                    columns.removeAll()
                    try set?.read(i, into: &columns, context)
                }
            } * 1e9 / samples, "ns/sample")
        #expect(context.samplesRead == series * scrapes)
    }
    try readAll("head", harness.store)
    report("seal", try seconds { try harness.seal() } * 1e9 / samples, "ns/sample")
    let bytes = harness.handles.reduce(0) { $0 + $1.descriptor.byteCount }
    report("sealed part", Double(bytes) / samples, "bytes/sample with index")
    for handle in harness.handles {
        for section in handle.reader.sections {
            print(
                "  section \(section.kind): \(section.storedCount) bytes of \(section.plainCount)")
        }
    }
    try readAll("part", harness.store)
    try readAll("part again", harness.store)
    for round in 1..<6 {
        for i in 0..<scrapes {
            harness.append(
                source.next(
                    1_768_514_400_000 + Int64(round * scrapes + i) * 15_000 + Int64(i * 7 % 5)))
        }
        try harness.seal()
    }
    for day in Set(harness.handles.map(\.descriptor.day)) {
        let ofDay = harness.handles.filter { $0.descriptor.day == day }
        let rows = ofDay.reduce(0) { $0 + $1.descriptor.rowCount }
        report("merge", try seconds { try harness.merge(ofDay) } * 1e9 / Double(rows), "ns/sample")
    }
    let merged = harness.handles.reduce(0) { $0 + $1.descriptor.byteCount }
    report("merged parts", Double(merged) / (samples * 6), "bytes/sample with index")
}
