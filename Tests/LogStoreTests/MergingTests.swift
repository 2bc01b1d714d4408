// SPDX-License-Identifier: Apache-2.0
// What merges take over as it is, and what they make anew.

import Base
import Storage
import Telemetry
import TestKit
import Testing

@testable import LogStore

@Suite struct MergingTests {
    private let streams = (0..<3).map { Labels([("app", "a\($0)")]) }

    /// Blocks of 50 rows and frames of one block each.
    private func driver(_ change: (inout LogStoreConfiguration) -> Void = { _ in }) -> Driver {
        Driver {
            $0.blockRows = 50
            $0.lineFrameBytes = 1
            $0.carriedBlockBytes = 1000
            change(&$0)
        }
    }

    private func rows(_ seconds: Range<Int>, _ word: String) -> [ModelRow] {
        seconds.flatMap { second in
            streams.map { stream in
                let trace = TraceID(high: mixed(UInt64(second) / 3), low: 7)
                return ModelRow(
                    stream: stream, nanos: Int64(second) * 1_000_000_000,
                    line: Array("\(stream) \(word) took \(second % 90)ms trace=\(trace)".utf8),
                    metadata: Labels([("pod", "p\(second % 3)")]), trace: trace,
                    span: SpanID(UInt64(second + 1)))
            }
        }
    }

    /// Checksums of the frames that hold lines, by part.
    private func lineFrames(_ driver: Driver) throws -> [Set<UInt32>] {
        try driver.handles.map { handle in
            let part = try LogPart(handle)
            return Set(part.blocks.map { part.frames[Int($0.lines.frame)].crc })
        }
    }

    private func check(_ driver: Driver, _ model: Model) throws {
        let request = LogRequest(
            tenant: driver.tenant, matchers: [], range: .all, order: .oldestFirst)
        let problem = difference(try driver.read(request), model.read(request))
        #expect(problem == nil)
        for handle in driver.handles { #expect(driver.store.verify(handle).isEmpty) }
    }

    private func sealed(_ driver: Driver, _ groups: [[ModelRow]]) throws -> Model {
        var model = Model()
        for group in groups {
            driver.append(group)
            try driver.seal()
            for row in group { model.append(row) }
        }
        return model
    }

    @Test func blocksAloneInTheirTimeGoOverAsTheyAre() throws {
        let driver = driver()
        let model = try sealed(driver, [rows(0..<200, "first"), rows(200..<420, "second")])
        let before = try lineFrames(driver).reduce(into: Set<UInt32>()) { $0.formUnion($1) }
        try driver.mergeAll()
        #expect(driver.handles.count == 1)
        #expect(try lineFrames(driver) == [before])
        try check(driver, model)
        // Words and ids are still known by frame.
        let context = ReadContext()
        let id = TraceID(high: mixed(100), low: 7).description
        for (needle, opened) in [("first", 12), ("sec", 15), (id, 3), ("nowhere", 0)] {
            let before = context.blockCount(.read)
            try driver.store.read(
                LogRequest(
                    tenant: driver.tenant, matchers: [], range: .all, order: .any,
                    filters: [LineFilter(.contains, needle)]), context
            ) { _ in true }
            #expect(context.blockCount(.read) - before == opened, "\(needle)")
        }
        // Taken over once more.
        driver.append(rows(420..<640, "third"))
        try driver.seal()
        try driver.mergeAll()
        #expect(try lineFrames(driver).first?.isSuperset(of: before) == true)
    }

    @Test func blocksThatMeetOthersAreMadeAnew() throws {
        let driver = driver()
        // The second part begins within the last block of the first, with rows that are there twice.
        let model = try sealed(driver, [rows(0..<200, "one"), rows(170..<400, "one")])
        let before = try lineFrames(driver)
        try driver.mergeAll()
        let merged = try #require(try lineFrames(driver).first)
        #expect(before[1].count == 15)
        #expect(before[1].intersection(merged).count == 12)
        #expect(driver.handles.first?.descriptor.rowCount == 1200)
        try check(driver, model)
    }

    @Test func aSharedMomentIsEnoughToMeet() throws {
        let driver = driver()
        let model = try sealed(driver, [rows(0..<200, "one"), rows(199..<399, "one")])
        let before = try lineFrames(driver)
        try driver.mergeAll()
        let merged = try #require(try lineFrames(driver).first)
        #expect(before[1].count == 12)
        #expect(before[1].intersection(merged).count == 9)
        #expect(driver.handles.first?.descriptor.rowCount == 399 * 3)
        try check(driver, model)
    }

    @Test func smallBlocksAreJoined() throws {
        let driver = driver { $0.carriedBlockBytes = 1 << 20 }
        let model = try sealed(driver, [rows(0..<220, "first"), rows(220..<430, "second")])
        try driver.mergeAll()
        #expect(try LogPart(driver.handles[0]).blocks.count == 27)
        try check(driver, model)
    }

    @Test func denseMergesCompressAnew() throws {
        let driver = driver { $0.denseMergeBytes = 0 }
        let model = try sealed(driver, [rows(0..<200, "first"), rows(200..<420, "second")])
        try driver.mergeAll()
        try check(driver, model)
    }

    @Test func damageIsFoundWhereNobodyDecodes() throws {
        let driver = driver()
        let model = try sealed(driver, [rows(0..<200, "first"), rows(200..<420, "second")])
        let handle = try #require(driver.handles.first)
        var bytes = Array(handle.reader.bytes.buffer)
        let part = try LogPart(handle)
        let offset = part.fileOffset(of: part.blocks[0].lines.frame)
        bytes[offset + 3] ^= 0x40
        let damaged = PartHandle(
            descriptor: handle.descriptor,
            reader: try PartReader(SharedBytes(bytes), name: "damaged"))
        #expect(throws: PartCorruption.self) {
            try driver.store.merge([damaged, driver.handles[1]], shouldStop: { false })
        }
        try check(driver, model)
    }
}
