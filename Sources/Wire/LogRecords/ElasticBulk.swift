// SPDX-License-Identifier: Apache-2.0
// Elasticsearch's bulk requests.

import Base
import Telemetry

/// Why a bulk request was refused as a whole.
package struct MalformedBulk: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
}

/// The body of `POST /_bulk`: pairs of lines, an action and a document.
///
/// `index` and `create` store the document; both add it, since a log store replaces nothing.
/// `update` and `delete` are refused item by item. The index and a sender's own id are kept as
/// structured metadata `_index` and `_id`. Source: Elasticsearch, "Bulk API" (`docs/reference`), and
/// the public `rest-api-spec/api/bulk.json`.
package enum ElasticBulk {
    /// Most items of one request: the answer names each of them.
    package static let maxItems = 100_000

    /// Type of an error that goes away: the item is to be sent again, and its status is 429.
    package static let overload = "es_rejected_execution_exception"

    package enum Action: String, Sendable, CaseIterable {
        case index, create, update, delete
    }

    package enum Outcome: Sendable, Equatable {
        /// Row of the batch.
        case row(Int)
        /// Type of the error in Elasticsearch's words, and the reason.
        case refused(type: String, reason: String)
    }

    package struct Item: Sendable, Equatable {
        package var action: Action
        /// Empty when neither the item nor the path names one.
        package var index: String
        /// Empty when the sender gave none.
        package var id: String
        package var outcome: Outcome
    }

    package struct Request: Sendable {
        package var logs = DecodedLogs()
        package var items: [Item] = []
    }

    /// - Parameters:
    ///   - index: index of items that name none.
    ///   - id: id of items that name none.
    /// - Throws: `MalformedBulk` for an action that is none, which leaves it open where the next
    ///   begins; `MalformedBytes` for more memory than the limits allow.
    package static func decode(
        _ body: UnsafeRawBufferPointer, index: String, _ mapping: LogRecordMapping,
        receivedNanos: Int64, id: String = "", limits: LogLimits = LogLimits()
    ) throws -> Request {
        var assembly = RecordAssembly(mapping, receivedNanos: receivedNanos, limits: limits)
        assembly.logs.result.batch.arena.reserveCapacity(body.count)
        var request = Request()
        var pending: Item?
        var number = 0
        try forEachLine(body) { line in
            number += 1
            if var item = pending {
                pending = nil
                item.outcome = outcome(of: line, item, &assembly)
                request.items.append(item)
                try assembly.checkSize()
                return
            }
            // Between items, as after the last one.
            if line.isEmpty { return }
            guard request.items.count < maxItems else {
                throw MalformedBulk(
                    description: "a bulk request has at most \(maxItems) items; send fewer at once")
            }
            var item = try action(line, number, defaultIndex: index)
            if item.id.isEmpty { item.id = id }
            if item.action == .delete {
                request.items.append(item)
            } else {
                pending = item
            }
        }
        if var item = pending {
            item.outcome = .refused(
                type: "illegal_argument_exception", reason: "the action has no document after it")
            request.items.append(item)
        }
        request.logs = assembly.logs.result
        return request
    }

    private static func action(
        _ line: UnsafeRawBufferPointer, _ number: Int, defaultIndex: String
    ) throws(MalformedBulk) -> Item {
        do throws(MalformedJSON) {
            var reader = JSONReader(line, maxDepth: 8)
            try reader.beginObject()
            guard let name = try reader.nextKey(), let action = Action(rawValue: name.string) else {
                throw reader.malformed("index, create, update or delete")
            }
            var item = Item(
                action: action, index: defaultIndex, id: "",
                outcome: .refused(
                    type: "illegal_argument_exception",
                    reason: "lines of a log store are not changed: use create or index"))
            try reader.beginObject()
            while let key = try reader.nextKey() {
                if key.equals("_index"), try reader.peek() == .string {
                    item.index = try reader.string().string
                } else if key.equals("_id"), try reader.peek() == .string {
                    item.id = try reader.string().string
                } else {
                    try reader.skipValue()
                }
            }
            guard try reader.nextKey() == nil else {
                throw reader.malformed("one action in a line")
            }
            try reader.end()
            return item
        } catch {
            throw MalformedBulk(description: "Malformed action/metadata line [\(number)]: \(error)")
        }
    }

    private static func outcome(
        of line: UnsafeRawBufferPointer, _ item: Item, _ assembly: inout RecordAssembly
    ) -> Outcome {
        if item.action == .update { return item.outcome }
        assembly.begin()
        do {
            var reader = JSONReader(line, maxDepth: RecordAssembly.maxDepth)
            try assembly.readObject(&reader)
            try reader.end()
        } catch {
            let reason = "failed to parse: \(error)"
            assembly.logs.reject(1, reason)
            return .refused(type: "document_parsing_exception", reason: reason)
        }
        if !item.index.isEmpty { assembly.add("_index", item.index) }
        if !item.id.isEmpty { assembly.add("_id", item.id) }
        let row = assembly.logs.result.batch.rowCount
        let problem = assembly.endRecord { $0.append(contentsOf: line) }
        return problem.map { .refused(type: "document_parsing_exception", reason: $0) } ?? .row(row)
    }
}
