# Medians by scenario of wsload's JSON lines. The ratio is that of each pair: a roost line and the floor line before it.

function field(name,	at, rest) {
	at = index($0, "\"" name "\":")
	if (at == 0)
		return 0
	rest = substr($0, at + length(name) + 3)
	sub(/[,}].*/, "", rest)
	gsub(/"/, "", rest)
	return rest
}

function number(name) {
	return field(name) + 0
}

function median(list, scenario, n,	i, j, v, t) {
	for (i = 1; i <= n; i++)
		v[i] = list[scenario, i]
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j] < v[j - 1]; j--) {
			t = v[j]; v[j] = v[j - 1]; v[j - 1] = t
		}
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}

{
	split(field("label"), name, "/")
	if (name[1] == "floor") {
		floor_cpu = number("srv_cpu_s_per_M")
		floor_join = number("srv_cpu_us_per_join")
		next
	}
	s = name[2]
	if (name[1] == "alone") {
		alone_p50 = number("lat_p50_us")
		next
	}
	if (!(s in n))
		order[++scenarios] = s
	k = ++n[s]
	cpu[s, k] = number("srv_cpu_s_per_M")
	ratio[s, k] = floor_cpu > 0 ? cpu[s, k] / floor_cpu : 0
	bytes[s, k] = number("bytes_per_conn")
	join[s, k] = number("srv_cpu_us_per_join")
	join_ratio[s, k] = floor_join > 0 ? join[s, k] / floor_join : 0
	p99[s, k] = number("lat_p99_us")
	more[s, k] = s ~ /^S6/ ? number("lat_p50_us") - alone_p50 : 0
	bad[s] += number("lost") + number("dup") + number("misordered") + number("failed")
}

END {
	printf "%-6s %5s %12s %8s %10s %12s %8s %12s %8s %5s\n", "", "pairs", "CPU-s/M", "x floor", "p99 us", "CPU-us/join", "x floor", "bytes/client", "+p50 us", "bad"
	for (i = 1; i <= scenarios; i++) {
		s = order[i]
		if (median(cpu, s, n[s]) > 0)
			printf "%-6s %5d %12.3f %8.3f %10.0f", s, n[s], median(cpu, s, n[s]), median(ratio, s, n[s]), median(p99, s, n[s])
		else
			printf "%-6s %5d %12s %8s %10s", s, n[s], "-", "-", "-"
		printf " %12.1f %8.2f %12.0f %8.0f %5d\n", median(join, s, n[s]), median(join_ratio, s, n[s]), median(bytes, s, n[s]),
		    median(more, s, n[s]), bad[s]
	}
}
