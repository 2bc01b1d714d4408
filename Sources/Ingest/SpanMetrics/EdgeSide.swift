// SPDX-License-Identifier: Apache-2.0
// What one span says of a call.

import Telemetry

/// One side of a call, read from its span and resource.
struct EdgeSide {
    let key: OpenEdges.Key
    /// Of a server's span: where the client's is if it has the same id and nothing says so.
    let sharedKey: OpenEdges.Key?
    private let isClient: Bool
    private let isMessaging: Bool
    private let service: String
    private let seconds: Double
    private let weight: Double
    private let startNanos: Int64
    private let endNanos: Int64
    private let isFailed: Bool
    private let isRoot: Bool
    private let dimensions: [String]
    private let peer: String
    /// Name of the database that a client's span asked, empty = it asked none.
    private let database: String

    /// - Parameter row: of a span of kind server, client, producer or consumer.
    init(
        _ batch: SpanBatch, _ row: Int, _ span: CountedSpan, _ service: String,
        _ resource: AttributeFinder.Found, _ found: AttributeFinder.Found, _ plan: SpanMetricsPlan
    ) {
        let kind = batch.kinds[row]
        isClient = kind == 3 || kind == 4
        isMessaging = kind >= 4
        self.service = service
        seconds = span.exemplar.seconds
        weight = span.weight
        startNanos = batch.startNanos[row]
        endNanos = batch.endNanos[row]
        isFailed = batch.statusCodes[row] == 2
        isRoot = batch.parentIDs[row].isZero
        let isShared = kind == 2 && found[plan.edge.isShared] != nil
        key = OpenEdges.Key(
            traceID: batch.traceIDs[row],
            spanID: isClient || isRoot || isShared ? batch.spanIDs[row] : batch.parentIDs[row])
        sharedKey =
            kind == 2
            ? OpenEdges.Key(traceID: batch.traceIDs[row], spanID: batch.spanIDs[row]) : nil
        dimensions = plan.edge.dimensions.map { number in
            (resource[number] ?? found[number]).map(AttributeFinder.text) ?? ""
        }
        peer =
            plan.edge.peers.lazy.compactMap { found[$0] }.first.map(AttributeFinder.text) ?? ""
        database = isClient ? EdgeSide.database(resource, found, plan.edge) : ""
    }

    private static func database(
        _ resource: AttributeFinder.Found, _ found: AttributeFinder.Found,
        _ edge: SpanMetricsPlan.EdgeAttributes
    ) -> String {
        func value(_ number: Int) -> String? {
            (resource[number] ?? found[number]).map(AttributeFinder.text)
        }
        guard let name = edge.databaseNames.lazy.compactMap(value).first else { return "" }
        if let peer = value(edge.peerService) ?? value(edge.serverAddress) { return peer }
        guard let host = value(edge.peerAddress) else { return name }
        return value(edge.peerPort).map { "\(host):\($0)" } ?? host
    }

    /// Adds the side to its edge.
    func fill(_ edge: inout SpanEdge) {
        if isMessaging { edge.connection = .messaging }
        edge.isFailed = edge.isFailed || isFailed
        edge.weight = weight
        if !peer.isEmpty { edge.peer = peer }
        if isClient {
            edge.client = service
            edge.clientSeconds = seconds
            edge.clientEndNanos = endNanos
            edge.clientDimensions = dimensions
            if !database.isEmpty {
                edge.connection = .database
                edge.server = database
                edge.serverSeconds = seconds
            }
        } else {
            edge.server = service
            edge.serverSeconds = seconds
            edge.serverStartNanos = startNanos
            edge.serverDimensions = dimensions
            edge.isRoot = isRoot
        }
    }
}
