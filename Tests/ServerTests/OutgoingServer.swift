// SPDX-License-Identifier: Apache-2.0
// A small HTTP server for tests of the outgoing client.

import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// A request as a server saw it.
struct SeenRequest: Sendable {
    var method: String
    var target: String
    var headers: [String: String]
    var body: String
    /// Common name of the client's certificate; nil without one.
    var clientName: String?
}

struct CannedAnswer: Sendable {
    var status = 200
    var headers: [(String, String)] = []
    var body: [UInt8] = []
    init(_ status: Int = 200, _ body: String = "", headers: [(String, String)] = []) {
        self.status = status
        self.body = Array(body.utf8)
        self.headers = headers
    }
}

/// Answers on a loopback port; remembers what it was asked.
final class OutgoingServer: Sendable {
    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        let server: OutgoingServer
        private var head: HTTPRequestHead?
        private var body = ""
        init(_ server: OutgoingServer) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let new): (head, body) = (new, "")
            case .body(let part): body += String(decoding: part.readableBytesView, as: UTF8.self)
            case .end:
                guard let head else { return }
                let tls = try? context.pipeline.syncOperations.handler(
                    type: NIOSSLServerHandler.self)
                var headers: [String: String] = [:]
                for header in head.headers { headers[header.name.lowercased()] = header.value }
                let request = SeenRequest(
                    method: head.method.rawValue, target: head.uri, headers: headers, body: body,
                    clientName: tls?.peerCertificate?.description)
                answer(server.seen(request), context)
            }
        }

        private func answer(_ answer: CannedAnswer, _ context: ChannelHandlerContext) {
            var fields = HTTPHeaders(answer.headers)
            fields.add(name: "Content-Length", value: "\(answer.body.count)")
            let head = HTTPResponseHead(
                version: .http1_1, status: .init(statusCode: answer.status), headers: fields)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(
                wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            // A client that does not like the certificate goes away.
            context.close(promise: nil)
        }
    }

    private let state = Mutex<[SeenRequest]>([])
    private let answer: @Sendable (SeenRequest) -> CannedAnswer
    private let channel = Mutex<(any Channel)?>(nil)

    init(
        tls: TLSConfiguration? = nil, _ answer: @escaping @Sendable (SeenRequest) -> CannedAnswer
    ) async throws {
        self.answer = answer
        let context = try tls.map { try NIOSSLContext(configuration: $0) }
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let context {
                        try pipeline.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try pipeline.configureHTTPServerPipeline()
                    try pipeline.addHandler(Handler(self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        self.channel.withLock { $0 = channel }
    }

    private func seen(_ request: SeenRequest) -> CannedAnswer {
        state.withLock { $0.append(request) }
        return answer(request)
    }

    var port: Int { channel.withLock { $0?.localAddress?.port ?? 0 } }
    var requests: [SeenRequest] { state.withLock { $0 } }
    var url: String { "http://127.0.0.1:\(port)" }

    func stop() async throws { try await channel.withLock { $0 }?.close() }
}
