// SPDX-License-Identifier: Apache-2.0
// Machines that show their metrics.

import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Telemetry
import TestKit

/// Targets on loopback addresses of their own (127.1.0.0/16), so that a scraper holds one connection
/// for each as in a real fleet. All show the same series, as node exporter has them; values move on
/// with each request.
final class FakeTargets: Sendable {
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let targets: FakeTargets
        private var count = 0
        init(_ targets: FakeTargets) { self.targets = targets }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .end = unwrapInboundIn(data) else { return }
            count += 1
            let page = targets.pages[count % targets.pages.count]
            targets.served.wrappingAdd(1, ordering: .relaxed)
            let head = HTTPResponseHead(
                version: .http1_1, status: .ok,
                headers: [
                    "Content-Type": "text/plain; version=0.0.4",
                    "Content-Length": "\(page.readableBytes)",
                ])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(page))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            // The scraper goes away at the end of its run.
            context.close(promise: nil)
        }
    }

    fileprivate let pages: [ByteBuffer]
    fileprivate let served = Atomic<Int>(0)
    let samplesPerPage: Int
    private let listening = Mutex<[String]>([])
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// `host:port` of each.
    var addresses: [String] { listening.withLock { $0 } }
    var servedCount: Int { served.load(ordering: .relaxed) }
    var bytesPerPage: Int { pages[0].readableBytes }

    /// - Parameter repeats: how often a page shows the 426 series of a machine, under a label.
    init(count: Int, repeats: Int, seed: UInt64) async throws {
        let shape = MetricShape(
            timeline: Timeline(seed: seed, startNanos: 0), hosts: repeats, batchSamples: 1)
        samplesPerPage = shape.seriesCount
        pages = (0..<16).map { FakeTargets.page(shape, step: $0) }
        let bootstrap = ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(self))
                }
            }
        var port = 0
        for number in 0..<count {
            let host = "127.1.\(number / 250).\(number % 250 + 1)"
            let channel = try await bootstrap.bind(host: host, port: port).get()
            // One port for all, as exporters have.
            port = channel.localAddress?.port ?? port
            let address = "\(host):\(port)"
            listening.withLock { $0.append(address) }
        }
    }

    func stop() async throws { try await group.shutdownGracefully() }

    private static func page(_ shape: MetricShape, step: Int) -> ByteBuffer {
        var text = ""
        var last = ""
        for (index, labels) in shape.series.enumerated() {
            let name = labels["__name__"] ?? ""
            if name != last {
                text += "# HELP \(name) Some thing that a machine tells of itself.\n"
                text += "# TYPE \(name) \(name.hasSuffix("_total") ? "counter" : "gauge")\n"
                last = name
            }
            // What the scraper adds stays away.
            var pairs = labels.pairs.filter { !["__name__", "instance", "job"].contains($0.name) }
                .map { "\($0.name)=\"\($0.value)\"" }
            if shape.hosts > 1 { pairs.append("part=\"\(index / shape.seriesPerHost)\"") }
            let value = shape.value(series: index, step: step)
            text +=
                name + (pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}") + " \(value)\n"
        }
        return ByteBuffer(string: text)
    }
}
