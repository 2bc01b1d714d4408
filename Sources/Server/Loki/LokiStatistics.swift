// SPDX-License-Identifier: Apache-2.0
// The statistics of an answer in Loki's shape.

import Base
import LogQL
import Synchronization
import Telemetry

/// What a query cost. Blocks of rows stand for chunks: those that the query came across, those that were
/// opened, and whether filters spared any. Source: grafana/loki `pkg/logqlmodel/stats/stats.proto`; what
/// has no equivalent in one process is 0. The cache of chunks is that of decompressed pieces of parts.
struct LokiStatistics: Sendable {
    var query: LogQLStatistics
    /// Lines or samples of the answer.
    var returned: Int
    /// Rows that the store decoded, and bytes of their lines: before the query's own filters.
    var decodedRows: Int
    var decodedBytes: Int
    /// Blocks by what became of them.
    private var blocks: [BlockFate: Int] = [:]
    /// Of the cache of chunks, in the order of `cacheCounts`.
    private var chunkCache: [Int]
    var execSeconds: Double
    var queueSeconds: Double

    /// Call when the query is done, with the time that it began to run at, on `context`'s clock.
    init(
        _ query: LogQLStatistics, returned: Int, _ context: ReadContext, queueNanos: Int64
    ) {
        self.query = query
        self.returned = returned
        decodedRows = context.samplesRead
        decodedBytes = context.bytesRead
        let cache = context.cache
        let requested = cache.requested.load(ordering: .relaxed)
        chunkCache = [
            cache.found.load(ordering: .relaxed), requested, cache.stored.load(ordering: .relaxed),
            cache.foundBytes.load(ordering: .relaxed), cache.storedBytes.load(ordering: .relaxed),
            requested, 0, 0,
        ]
        for fate in BlockFate.allCases { blocks[fate] = context.blockCount(fate) }
        execSeconds = Double(max(0, context.elapsedNanos - queueNanos)) / 1e9
        queueSeconds = Double(queueNanos) / 1e9
    }

    private static let caches = [
        "chunk", "index", "result", "statsResult", "volumeResult", "seriesResult", "labelResult",
        "instantMetricResult", "logResult", "taskResult",
    ]
    private static let cacheCounts = [
        "entriesFound", "entriesRequested", "entriesStored", "bytesReceived", "bytesSent",
        "requests", "downloadTime", "queryLengthServed",
    ]
    private static let dataObjectCounts = [
        "prePredicateDecompressedRows", "prePredicateDecompressedBytes",
        "prePredicateDecompressedStructuredMetadataBytes", "postPredicateRows",
        "postPredicateDecompressedBytes", "postPredicateStructuredMetadataBytes",
        "postFilterRows", "pagesScanned", "pagesDownloaded", "pagesDownloadedBytes",
        "pageBatches", "totalRowsAvailable", "totalPageDownloadTime", "wireBytesTransferred",
    ]

    /// The member `stats` of an answer's data.
    func write(into json: inout JSONWriter) {
        json.key("stats")
        json.beginObject()
        writeSummary(into: &json)
        json.key("querier")
        json.beginObject()
        json.key("store")
        writeStore(isRead: true, into: &json)
        json.key("querierExecTime")
        number(execSeconds, into: &json)
        json.endObject()
        json.key("ingester")
        json.beginObject()
        for name in ["totalReached", "totalChunksMatched", "totalBatches", "totalLinesSent"] {
            json.member(name, 0)
        }
        json.key("store")
        writeStore(isRead: false, into: &json)
        json.endObject()
        json.key("cache")
        json.beginObject()
        for cache in Self.caches {
            json.key(cache)
            json.beginObject()
            for (place, name) in Self.cacheCounts.enumerated() {
                json.member(name, cache == "chunk" ? chunkCache[place] : 0)
            }
            json.endObject()
        }
        json.endObject()
        json.key("index")
        json.beginObject()
        json.member("totalChunks", blockCount)
        json.member("postFilterChunks", blockCount - sparedCount)
        json.member("shardsDuration", 0)
        json.member("usedBloomFilters", sparedCount > 0)
        for name in ["totalStreams", "chunkRefsLookupTime", "bloomFilterTime"] {
            json.member(name, 0)
        }
        json.endObject()
        json.endObject()
    }

    private func count(_ fates: BlockFate...) -> Int { fates.reduce(0) { $0 + (blocks[$1] ?? 0) } }

    private var blockCount: Int { blocks.values.reduce(0, +) }

    /// Blocks that were not opened because nothing in them could be wanted.
    private var sparedCount: Int {
        count(.skippedByWords, .skippedByIDs, .skippedByMetadata, .skippedByNumbers)
    }

    private func writeSummary(into json: inout JSONWriter) {
        json.key("summary")
        json.beginObject()
        json.member("bytesProcessedPerSecond", perSecond(query.bytesRead))
        json.member("linesProcessedPerSecond", perSecond(query.linesRead))
        json.member("totalBytesProcessed", query.bytesRead)
        json.member("totalLinesProcessed", query.linesRead)
        json.key("execTime")
        number(execSeconds, into: &json)
        json.key("queueTime")
        number(queueSeconds, into: &json)
        json.member("subqueries", 0)
        json.member("totalEntriesReturned", returned)
        json.member("splits", 0)
        json.member("shards", 0)
        json.member("totalPostFilterLines", query.linesKept)
        json.member("totalStructuredMetadataBytesProcessed", query.metadataBytesRead)
        json.endObject()
    }

    private func writeStore(isRead: Bool, into json: inout JSONWriter) {
        json.beginObject()
        json.member("totalChunksRef", isRead ? blockCount : 0)
        json.member("totalChunksDownloaded", isRead ? count(.read, .searched) : 0)
        json.member("chunksDownloadTime", 0)
        json.member("queryReferencedStructuredMetadata", isRead && query.metadataBytesRead > 0)
        json.member("queryUsedV2Engine", false)
        json.key("chunk")
        json.beginObject()
        for (name, value) in [
            ("headChunkBytes", 0), ("headChunkLines", 0), ("decompressedBytes", decodedBytes),
            ("decompressedLines", decodedRows), ("compressedBytes", 0), ("totalDuplicates", 0),
            ("postFilterLines", query.linesKept), ("headChunkStructuredMetadataBytes", 0),
            ("decompressedStructuredMetadataBytes", query.metadataBytesRead),
        ] {
            json.member(name, isRead ? value : 0)
        }
        json.endObject()
        for name in [
            "chunkRefsFetchTime", "congestionControlLatency", "pipelineWrapperFilteredLines",
        ] {
            json.member(name, 0)
        }
        json.key("dataobj")
        zeros(Self.dataObjectCounts, into: &json)
        json.endObject()
    }

    private func zeros(_ names: [String], into json: inout JSONWriter) {
        json.beginObject()
        for name in names { json.member(name, 0) }
        json.endObject()
    }

    private func perSecond(_ count: Int) -> Int {
        execSeconds > 0 ? Int(exactly: (Double(count) / execSeconds).rounded()) ?? .max : 0
    }

    private func number(_ seconds: Double, into json: inout JSONWriter) {
        var text: [UInt8] = []
        appendFloatPlain(seconds, into: &text)
        json.raw(text)
    }
}
