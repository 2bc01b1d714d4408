// SPDX-License-Identifier: Apache-2.0
// Alerts on their way out.

import Base
import Ingest
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Rules

/// Keeps the bodies, and answers when it is told to.
private final class Receiver: AlertPosting {
    private struct State {
        var bodies: [(url: String, count: Int, text: String)] = []
        var status = 200
        var isHeld = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func post(_ body: [UInt8], to url: String, timeoutSeconds: Double) async throws -> Int {
        let text = String(decoding: body, as: UTF8.self)
        state.withLock {
            $0.bodies.append((url, text.split(separator: "startsAt").count - 1, text))
        }
        await withCheckedContinuation { continuation in
            let goesOn = state.withLock { state -> Bool in
                if state.isHeld { state.waiting.append(continuation) }
                return !state.isHeld
            }
            if goesOn { continuation.resume() }
        }
        return state.withLock { $0.status }
    }

    var bodies: [(url: String, count: Int, text: String)] { state.withLock { $0.bodies } }
    func answer(_ status: Int) { state.withLock { $0.status = status } }
    func hold() { state.withLock { $0.isHeld = true } }
    func release() {
        let waiting = state.withLock { state in
            state.isHeld = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

private func alerts(_ range: Range<Int>) -> [OutgoingAlert] {
    range.map { number in
        OutgoingAlert(
            labels: Labels([("alertname", "A"), ("n", "\(number)")]),
            annotations: [RuleText("summary", "s")], startsAtNanos: 1_000_000_000,
            endsAtNanos: 2_500_000_000, generatorURL: "http://t/graph")
    }
}

private func notifier(
    _ receiver: Receiver, _ urls: [String] = ["http://am/api/v2/alerts"], capacity: Int = 10_000
) -> AlertNotifier {
    let notifier = AlertNotifier(capacity: capacity, clock: ManualClock())
    var set = AlertmanagerSet(posting: receiver)
    set.active = urls
    notifier.apply([set], relabelRules: [], externalLabels: [])
    return notifier
}

@Test func alertsGoInBatchesToEach() async throws {
    let receiver = Receiver()
    let notifier = notifier(receiver, ["http://a/x", "http://b/x"])
    notifier.receive(alerts(0..<600))
    await notifier.shutDown(seconds: 60)
    for url in ["http://a/x", "http://b/x"] {
        #expect(receiver.bodies.filter { $0.url == url }.map(\.count) == [256, 256, 88])
    }
    #expect(notifier.destinations.map(\.sent) == [600, 600])
    #expect(notifier.droppedCount == 0)
}

@Test func theBodyIsThatOfTheAPI() {
    #expect(
        String(decoding: alertsJSON(alerts(7..<8)), as: UTF8.self)
            == "[{\"annotations\":{\"summary\":\"s\"},\"endsAt\":\"1970-01-01T00:00:02.5Z\","
            + "\"startsAt\":\"1970-01-01T00:00:01Z\",\"generatorURL\":\"http://t/graph\","
            + "\"labels\":{\"alertname\":\"A\",\"n\":\"7\"}}]")
}

@Test func theOldestMakeRoom() async throws {
    let receiver = Receiver()
    receiver.hold()
    let notifier = notifier(receiver, capacity: 10)
    notifier.receive(alerts(0..<1))
    while receiver.bodies.isEmpty { await Task.yield() }
    notifier.receive(alerts(1..<9))
    notifier.receive(alerts(9..<14))
    #expect(notifier.destinations.map(\.queued) == [10])
    #expect(notifier.droppedCount == 3)
    receiver.release()
    await notifier.shutDown(seconds: 60)
    #expect(receiver.bodies.map(\.count) == [1, 10])
    #expect(receiver.bodies[1].text.contains("\"n\":\"13\""))
    #expect(!receiver.bodies[1].text.contains("\"n\":\"3\""))
}

@Test func failuresAreCounted() async throws {
    let receiver = Receiver()
    receiver.answer(503)
    let notifier = notifier(receiver)
    notifier.receive(alerts(0..<3))
    await notifier.shutDown(seconds: 60)
    #expect(notifier.destinations.map(\.errors) == [3])
    #expect(notifier.droppedCount == 3)
}

@Test func externalLabelsAndRelabelling() async throws {
    let receiver = Receiver()
    let notifier = AlertNotifier(clock: ManualClock())
    var drop = RelabelRule.Definition()
    drop.sourceLabels = ["n"]
    drop.regex = "1"
    drop.action = "drop"
    var only = RelabelRule.Definition()
    only.sourceLabels = ["n"]
    only.regex = "2"
    only.action = "keep"
    var sets = [AlertmanagerSet(posting: receiver), AlertmanagerSet(posting: receiver)]
    sets[0].active = ["http://all/x"]
    sets[1].active = ["http://two/x"]
    sets[1].alertRelabelRules = [try RelabelRule(only)]
    notifier.apply(
        sets, relabelRules: [try RelabelRule(drop)],
        externalLabels: [RuleText("cluster", "eu"), RuleText("n", "never")])
    notifier.receive(alerts(0..<3))
    await notifier.shutDown(seconds: 60)
    #expect(
        Dictionary(uniqueKeysWithValues: receiver.bodies.map { ($0.url, $0.count) }) == [
            "http://all/x": 2, "http://two/x": 1,
        ])
    #expect(receiver.bodies[0].text.contains("\"cluster\":\"eu\""))
}

@Test func waitingAlertsOutliveAReload() async throws {
    let receiver = Receiver()
    receiver.hold()
    let notifier = notifier(receiver)
    notifier.receive(alerts(0..<1))
    while receiver.bodies.isEmpty { await Task.yield() }
    notifier.receive(alerts(1..<4))
    var set = AlertmanagerSet(posting: receiver)
    set.active = ["http://am/api/v2/alerts"]
    notifier.apply([set], relabelRules: [], externalLabels: [])
    receiver.release()
    await notifier.shutDown(seconds: 60)
    #expect(receiver.bodies.map(\.count) == [1, 3])
}

@Test func targetsBecomeURLs() throws {
    var targets = AlertmanagerTargets()
    targets.pathPrefix = "/am/"
    #expect(
        targets.url([RuleText("__address__", "h:9093")])?.url == "http://h:9093/am/api/v2/alerts")
    targets.scheme = "https"
    #expect(
        targets.url([RuleText("__address__", "h:9093"), RuleText("__alerts_path__", "x")])?.url
            == "https://h:9093/am/api/v2/alerts")
    var keep = RelabelRule.Definition()
    keep.sourceLabels = ["__address__"]
    keep.regex = "good.*"
    keep.action = "keep"
    targets.relabelRules = [try RelabelRule(keep)]
    #expect(targets.url([RuleText("__address__", "bad:1")])?.isDropped == true)
    #expect(targets.url([RuleText("__address__", "good:1")])?.isDropped == false)
}
