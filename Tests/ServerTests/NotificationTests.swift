// SPDX-License-Identifier: Apache-2.0
// Notifications, listed and live.

import Base
import HTTPTypes
import Synchronization
import Testing

@testable import Server

@Test func listenersAreToldWhatBeginsAndEnds() async throws {
    let now = Mutex<[String]>(["first"])
    let source = Notifications(
        clock: SystemClock(), maxSubscribers: 1, intervalSeconds: 0.005
    ) { now.withLock { $0 } }
    let request = APIRequest(method: .get, path: "/")
    let answer = try await source.live(request)
    let stream = try #require(answer.stream)
    func event() async throws -> String {
        String(decoding: try await stream.next() ?? [], as: UTF8.self)
    }
    #expect(try await event().contains(#"{"text":"first","date":"#))
    let second = try await source.live(request)
    #expect(second.status == .noContent, "one listener is all there may be")
    now.withLock { $0 = ["second"] }
    let change = try await event()
    #expect(change.contains("first") && change.contains(#""active":false"#), "\(change)")
    #expect(change.contains("second") && change.contains(#""active":true"#), "\(change)")
    #expect(source.active.map(\.text) == ["second"])
    stream.end()
    stream.end()
    #expect(source.subscribers == 0)
}
