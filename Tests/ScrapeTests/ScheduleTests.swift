// SPDX-License-Identifier: Apache-2.0
// Ticks on the wall clock.

import Telemetry
import Testing

@testable import Scrape

private let second: Int64 = 1_000_000_000

@Test func ticksHangOnTheWallClock() {
    var schedule = ScrapeSchedule(
        intervalNanos: 10 * second, offsetNanos: 3 * second, nowNanos: 1001 * second)
    #expect(schedule.delayNanos(nowNanos: 1001 * second) == 2 * second)
    // Within the tolerance the sample has the time of the tick.
    #expect(schedule.begin(nowNanos: 1003 * second + 1_900_000) == 1003 * second)
    #expect(schedule.delayNanos(nowNanos: 1003 * second + 500_000_000) == 9_500_000_000)
    #expect(schedule.begin(nowNanos: 1013 * second - 1_500_000) == 1013 * second)
    #expect(schedule.begin(nowNanos: 1023 * second + 2_100_000) == 1023 * second + 2_100_000)
    // A scrape that took too long skips ticks and comes back to the grid.
    #expect(schedule.begin(nowNanos: 1054 * second) == 1054 * second)
    #expect(schedule.delayNanos(nowNanos: 1055 * second) == 8 * second)
}

@Test func aShortIntervalHasASmallTolerance() {
    var schedule = ScrapeSchedule(
        intervalNanos: second / 10, offsetNanos: 0, nowNanos: 0)
    #expect(schedule.begin(nowNanos: second / 10 + 1_500_000) == second / 10 + 1_500_000)
}

@Test func aClockThatIsSetStartsTheGridAnew() {
    var schedule = ScrapeSchedule(
        intervalNanos: 10 * second, offsetNanos: 0, nowNanos: 1000 * second)
    #expect(schedule.begin(nowNanos: 1010 * second) == 1010 * second)
    // Back by an hour: never a longer wait than an interval, and no time from the future.
    #expect(schedule.delayNanos(nowNanos: -2590 * second) == 10 * second)
    #expect(schedule.begin(nowNanos: -2580 * second) == -2580 * second)
    #expect(schedule.delayNanos(nowNanos: -2580 * second) == 10 * second)
}

@Test func durationsAreSpelledAsPrometheusDoes() {
    var job = ScrapeConfiguration(jobName: "j")
    job.intervalSeconds = 90
    job.timeoutSeconds = 0.5
    let target = makeTargets(job, groups: [TargetGroup(targets: ["h:1"])]).active[0]
    #expect(target.intervalText == "1m30s")
    #expect(target.timeoutText == "500ms")
    let offset = target.offsetNanos(90 * second)
    #expect(offset >= 0 && offset < 90 * second && offset % 1_000_000 == 0)
    #expect(offset == target.offsetNanos(90 * second))
}

@Test func aTimeoutAboveTheIntervalIsAnError() {
    var job = ScrapeConfiguration(jobName: "j")
    job.groups = [
        TargetGroup(targets: ["h:1"], labels: [NamedText("__scrape_timeout__", "2m")])
    ]
    let list = makeTargets(job, groups: job.groups)
    #expect(list.active.isEmpty)
    #expect(
        list.errors == [
            "target h:1: scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")"
        ])
}
