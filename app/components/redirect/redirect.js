// Another site's login is not shown in a frame, and cookies of a frame are not those of a tab.
export default ({ data }) => {
  const isFramed = window.self !== window.top
  if (isFramed && data.ownTab && window.open(data.ownTab, "_blank")) return
  window.location.assign(data.to)
}
