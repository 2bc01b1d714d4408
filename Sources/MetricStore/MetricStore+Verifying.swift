// SPDX-License-Identifier: Apache-2.0
// Checking a part from end to end.

import Base
import Storage
import Telemetry

extension MetricStore {
    /// Decodes everything in a part and compares what it says twice: sections against their
    /// checksums, samples against the summary, postings against the labels of the series.
    ///
    /// - Returns: what is wrong, each with its offset in the file. Reads the whole part.
    package func verify(_ part: PartHandle) -> [PartCorruption] {
        var faults = part.reader.verify()
        func attempt(_ body: () throws(PartCorruption) -> Void) {
            do throws(PartCorruption) {
                try body()
            } catch {
                if !faults.contains(error) { faults.append(error) }
            }
        }
        attempt { () throws(PartCorruption) in
            let opened = try MetricPart(part, ignoringDeletions: true)
            attempt { () throws(PartCorruption) in _ = try opened.decodedDeletions(of: part) }
            attempt { () throws(PartCorruption) in _ = try opened.exemplars() }
            attempt { () throws(PartCorruption) in _ = try opened.metadata() }
            let index = try opened.index()
            let times = TimeColumnCache()
            var sampleCount = 0
            for series in 0..<index.seriesCount {
                attempt { () throws(PartCorruption) in
                    var runs = SampleRuns(SampleColumns())
                    _ = try opened.read(series, .all, index, times, source: 0, into: &runs)
                    sampleCount += runs.columns.count
                }
            }
            if faults.isEmpty, sampleCount != opened.sampleCount {
                let section = part.reader.section(MetricPartFormat.Section.summary)
                faults.append(
                    PartCorruption(
                        name: part.reader.name, offset: section?.offset ?? 0,
                        problem: "\(sampleCount) samples, the summary says \(opened.sampleCount)"))
            }
            attempt { () throws(PartCorruption) in try index.verifyPostings(part.reader) }
        }
        return faults
    }
}

extension PartIndex {
    /// Compares each list with the labels of the series in it, and their total with the number of
    /// labels.
    fileprivate func verifyPostings(_ reader: PartReader) throws(PartCorruption) {
        let offset = reader.section(MetricPartFormat.Section.postings)?.offset ?? 0
        func fault(_ problem: String) -> PartCorruption {
            PartCorruption(name: reader.name, offset: offset, problem: problem)
        }
        var entries = 0
        for name in 0..<nameCount {
            for value in 0..<valueCount(name) {
                let list: Postings
                do {
                    list = try postings(name, value)
                } catch { throw fault("\(error)") }
                guard list.count == postingCount(name, value) else {
                    throw fault("postings \(name)/\(value): \(list.count) series")
                }
                let symbol = valueSymbol(name, value)
                for series in list.ids
                where valueSymbol(Int(series), name: nameSymbol(name)) != symbol {
                    throw fault("postings \(name)/\(value) list series \(series) in error")
                }
                entries += list.count
            }
        }
        var labels = 0
        for series in 0..<seriesCount { nameSymbols(series) { _ in labels += 1 } }
        if entries != labels { throw fault("\(entries) postings for \(labels) labels") }
    }
}
