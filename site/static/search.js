// The search page: /search.html?q=무신
const search = new PagefindUI({
  element: "#search",
  showImages: false,
  showSubResults: true,
  pageSize: 10,
  autofocus: true,
  translations: {
    placeholder: "찾을 말을 쓰십시오",
    clear_search: "지우기",
    load_more: "더 보기",
    search_label: "이 사이트에서 찾기",
    zero_results: "[SEARCH_TERM]: 찾은 것이 없습니다",
    many_results: "[SEARCH_TERM]: [COUNT]개를 찾았습니다",
    one_result: "[SEARCH_TERM]: 한 개를 찾았습니다",
    alt_search: "[SEARCH_TERM]은(는) 없습니다. [DIFFERENT_TERM]의 결과입니다",
    search_suggestion: "[SEARCH_TERM]은(는) 없습니다. 다른 말로 찾아 보십시오",
    searching: "[SEARCH_TERM]을(를) 찾는 중입니다",
  },
});
document.querySelector("#search input").setAttribute("aria-label", "찾을 말");
const asked = new URLSearchParams(location.search).get("q");
if (asked) search.triggerSearch(asked);
