// SPDX-License-Identifier: Apache-2.0
// Public log files, byte for byte, and how small they get.

import Base
import Storage
import Telemetry
import TestKit
import Testing

@testable import LogStore

@Suite struct CorpusTests {
    private static let files = Corpora.names(under: "logs").filter {
        $0.hasSuffix(".log") || $0.hasSuffix(".txt")
    }

    private func lines(_ text: [UInt8]) -> [[UInt8]] {
        text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
            Array($0)
        }
    }

    @Test(.enabled(if: Corpora.folder != nil))
    func publicLogsSurviveSealingAndMerging() throws {
        #expect(CorpusTests.files.count > 10)
        var report: [String] = []
        var raw = 0, packed = 0, sealed = 0, merged = 0
        for file in CorpusTests.files {
            let text = try #require(Corpora.file("logs/" + file))
            let rows = lines(text).enumerated().map { index, line in
                ModelRow(
                    stream: Labels([("file", file)]), nanos: Int64(index) * 250_000_000,
                    line: line, metadata: .empty)
            }
            let driver = Driver()
            let all = LogRequest(
                tenant: driver.tenant, matchers: [], range: .all, order: .oldestFirst)
            for start in stride(from: 0, to: rows.count, by: 500) {
                driver.append(Array(rows[start..<min(start + 500, rows.count)]))
                if start == 500 { try driver.seal() }
            }
            try driver.seal()
            #expect(try driver.read(all) == rows, "\(file) sealed")
            let before = driver.handles.reduce(0) { $0 + Int($1.descriptor.byteCount) }
            try driver.mergeAll()
            let after = driver.handles.reduce(0) { $0 + Int($1.descriptor.byteCount) }
            #expect(try driver.read(all) == rows, "\(file) merged")
            let plain = Zstd.compress(text, level: 3).count
            raw += text.count
            packed += plain
            sealed += before
            merged += after
            report.append(
                "\(file): \(text.count) bytes, zstd -3 \(plain), sealed \(before), merged \(after)")
        }
        report.append("all: \(raw) bytes, zstd -3 \(packed), sealed \(sealed), merged \(merged)")
        print(report.joined(separator: "\n"))
        // An index of one stream and a block must not cost what compression won.
        #expect(merged < packed + CorpusTests.files.count * 2000)
    }
}
