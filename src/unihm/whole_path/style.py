"""How the page of `page` looks: light or dark as the reader has it, one column on a phone."""

STYLE = """
:root{--ink:#1d2329;--soft:#5d6873;--line:#d9dee3;--back:#ffffff;--card:#f5f7f9;--good:#58a868;--bad:#c0504d}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa6b2;--line:#39424b;--back:#14181c;--card:#1e242a;
--good:#4f9a5e;--bad:#d9706d}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:76rem;margin:0 auto;padding:1rem}
h1{font-size:1.7rem;margin:.5rem 0}
h2{font-size:1.25rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .4rem}
small,.said,.none,figcaption small{color:var(--soft)}
.said{font-size:.85rem}
.warning{border:2px solid var(--bad);border-radius:6px;padding:.5rem .8rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin-top:1rem}
.tile{background:var(--card);border-radius:8px;padding:.6rem .8rem}
.tile h3{margin:0 0 .2rem}
.tile b{font-size:1.25rem}
.wide{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;table-layout:fixed;min-width:54rem;
font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;font-weight:400}
td b{margin-right:.3em}
td small{font-size:.78rem;white-space:nowrap}
thead th{font-weight:600;border-bottom:1px solid var(--ink)}
tbody{border-bottom:1px solid var(--line)}
tbody th{position:sticky;left:0;background:var(--back);padding-right:.8rem}
tbody th span{display:block;color:var(--soft);font-size:.85rem}
.paper{font-style:italic}
summary{cursor:pointer;padding:.3rem 0}
@media(max-width:76rem){td small{display:block}}
i{display:inline-block;width:.75em;height:.75em;border-radius:2px;margin-right:.4em}
.legend{margin:.3rem 0;font-size:.85rem}
.key{margin-right:1.1rem;white-space:nowrap}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(17rem,100%),1fr));gap:1rem}
figure{margin:0}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--soft);font-size:10px}
line.grid{stroke:var(--line)}
line.even{stroke:var(--soft);stroke-dasharray:4 4}
figcaption{font-size:.9rem}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr));gap:0 2rem}
.bars dt{font-size:.9rem;margin-top:.5rem}
.bars dd{margin:0}
.bar{display:flex;height:1rem;border-radius:3px;overflow:hidden;background:var(--card)}
.bar span{flex:0 1 0}
.cards{display:grid;align-items:start;grid-template-columns:repeat(auto-fill,minmax(min(30rem,100%),1fr));gap:1rem}
.card{background:var(--card);border-radius:8px;padding:.7rem}
.pair{display:grid;grid-template-columns:3fr 2fr;gap:.5rem;align-items:start}
.pair video,.pair img{width:100%;height:auto;border-radius:4px;display:block;background:#0003}
.pair video{aspect-ratio:4/3}
.card q,.card small{display:block}
.success{color:var(--good)}
.failure{color:var(--bad)}
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;font-size:.85rem}
.facts dd{margin:0;overflow-wrap:anywhere}
"""
"""The style sheet; it names nothing that is elsewhere."""
